//! Waiting for something that another process or thread does.

/// Waits until a condition holds, for ten seconds at most.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}
