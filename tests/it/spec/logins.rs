//! Whose logins are used, and what is asked again when they change (rules I166, I170).

use tidegate::action::{Input, Nudge};
use tidegate::effective;
use tidegate::fact::ImportReason::{NotFound, Unauthorized};
use tidegate::policy::Policy;

use crate::support::engine::World;

/// I166: only a namespace that has logins of its own is asked for by itself; what it asks is no other question.
#[test]
fn i166_a_namespace_with_logins_of_its_own_is_asked_for_by_itself() {
    let mut world = World::new();
    world.commit("is a 1=r.io/web:1\nis b 1=r.io/web:1 ns=other");
    assert_eq!(world.pending(), "resolve r.io/web:1", "one check serves both");
    let [both] = &world.checks()[..] else { panic!("one check") };
    assert_eq!(both.namespace, None);
    let login_namespaces = ["other".parse().unwrap()].into();
    let mut world = World::with(Policy { login_namespaces, ..World::policy() });
    world.commit("is a 1=r.io/web:1\nis b 1=r.io/web:1 ns=other");
    let [all, own] = &world.checks()[..] else { panic!("two checks") };
    let namespace = own.namespace.as_ref().or(all.namespace.as_ref()).unwrap();
    assert_eq!(namespace.as_str(), "other");
    assert_ne!(all, own);
    assert_eq!(effective::fingerprint(all), effective::fingerprint(own));
}

/// I166: logins that come or go have nothing asked that has its answer.
#[test]
fn i166_a_namespace_that_gets_logins_of_its_own_imports_nothing_again() {
    let mut world = World::new();
    world.commit("is web 1=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    let login_namespaces = ["shop".parse().unwrap()].into();
    world.engine.set_policy(Policy { login_namespaces, ..World::policy() });
    world.step(vec![Input::Nudged(Nudge::Logins)]);
    assert_eq!(world.pending(), "");
}

/// I170: what was refused is due at once when logins change, also what is being asked meanwhile; nothing else is.
#[test]
fn i170_a_change_of_logins_makes_what_was_refused_due_at_once() {
    let mut world = World::new();
    world.commit("is web a=r.io/a:1 b=r.io/b:1 c=r.io/c:1\nis all repository=r.io/all");
    world.resolve_fails("r.io/a:1", Unauthorized, false);
    world.resolve_fails("r.io/b:1", NotFound, false);
    world.list_fails("r.io/all", Unauthorized, false);
    assert_eq!(world.pending(), "resolve r.io/c:1");
    world.step(vec![Input::Nudged(Nudge::Logins)]);
    assert_eq!(world.pending(), "resolve r.io/c:1\nlist r.io/all\nresolve r.io/a:1");
    // It was asked with the logins before.
    world.resolve_fails("r.io/c:1", Unauthorized, false);
    assert!(world.pending().contains("resolve r.io/c:1"), "{}", world.pending());
    for image in ["r.io/a:1", "r.io/c:1"] {
        world.resolve(image, "a");
    }
    world.step(vec![Input::Nudged(Nudge::Logins)]);
    world.list_fails("r.io/all", Unauthorized, false);
    assert_eq!(world.pending(), "list r.io/all", "once more for a list that was being made");
}
