//! Small worlds that the rules start from.

use super::engine::World;

/// A stream with a scheduled tag.
pub(crate) const WEB: &str = "is web latest=r.io/web:1,scheduled";

/// That, and a workload that follows it.
pub(crate) const APP: &str = "is web latest=r.io/web:1,scheduled\ndc app app<web:latest";

/// A world that read a commit of these objects.
pub(crate) fn committed(objects: &str) -> World {
    let mut world = World::new();
    world.commit(objects);
    world
}

/// A world in which `WEB` is imported as `a`, with nothing left to show.
pub(crate) fn imported() -> World {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.records();
    world
}

/// A world in which `app` runs `a`, with nothing left to show.
pub(crate) fn running() -> World {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.told();
    world
}

/// The registry answers another digest after the next check.
pub(crate) fn moves(world: &mut World, name: &str) {
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", name);
}
