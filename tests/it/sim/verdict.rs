//! Which law a story broke, and where: what a panic said, without its noise.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A law that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    /// The assertion, by its place: two stories break the same law if it is the same.
    pub(crate) place: String,
    /// What it said.
    pub(crate) why: String,
}

thread_local! {
    /// What this thread's panic was, while it is caught.
    static CAUGHT: RefCell<Option<Option<Broken>>> = const { RefCell::new(None) };
}

/// Runs something; a panic in it is returned and not printed.
pub(crate) fn catch(run: impl FnOnce()) -> Result<(), Broken> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let broken = || Broken {
                place: panic.location().map(ToString::to_string).unwrap_or_default(),
                why: panic.payload_as_str().unwrap_or_default().to_owned(),
            };
            let caught = CAUGHT.with_borrow_mut(|caught| {
                let caught = caught.as_mut();
                caught.map(|caught| *caught = Some(broken())).is_some()
            });
            if !caught {
                before(panic);
            }
        }));
    });
    CAUGHT.set(Some(None));
    let result = catch_unwind(AssertUnwindSafe(run));
    let broken = CAUGHT.take().flatten();
    match result {
        Ok(()) => Ok(()),
        Err(_) => Err(broken.expect("the hook saw it")),
    }
}
