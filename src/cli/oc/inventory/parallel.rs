//! Work that is done by as many threads as there are processors.

/// The least work that is worth a thread.
const SHARE_MIN: usize = 512;

/// What `make` makes of each item, in order, by as many threads as there are processors.
pub(super) fn in_parallel<I: Sync, T: Send>(
    items: &[I],
    make: impl Fn(&I) -> Vec<T> + Sync,
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = items.len().div_ceil(threads).max(SHARE_MIN);
    let make = |items: &[I]| -> Vec<T> { items.iter().flat_map(&make).collect() };
    let (first, rest) = items.split_at(share.min(items.len()));
    std::thread::scope(|scope| {
        let rest: Vec<_> =
            rest.chunks(share).map(|items| scope.spawn(move || make(items))).collect();
        let mut all = make(first);
        for made in rest {
            all.extend(made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}
