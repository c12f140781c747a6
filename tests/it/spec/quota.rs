//! What registries are asked stays inside what they take (rule I111, items 2 to 4 and 6).

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use tidegate::action::{
    Action, ActionId, ImportOrder, Input, Request, Requests, Resolution, ResolveRequest,
    ResolvedImage, Spent, SpentBy, Told,
};
use tidegate::fact::{Fact, Reason};
use tidegate::names::{Account, ContentHash};
use tidegate::policy::{Counted, Policy, RateLimit};
use tidegate::time::Monotonic;

use crate::support::engine::World;
use crate::support::start::committed;
use crate::support::story::digest;

/// A registry that counts as Docker Hub does, and ends the test where it would have answered 429.
struct Registry {
    host: &'static str,
    user: Option<&'static str>,
    limit: RateLimit,
    /// What it counted, others than Tidegate included.
    counted: VecDeque<(Monotonic, u64)>,
    /// The image of each tag; each is one of an index, so that reading it takes two manifests.
    images: BTreeMap<String, String>,
    tells: bool,
    /// Requests that Tidegate made.
    asked: Requests,
    /// How often each image was asked for.
    looks: BTreeMap<String, u32>,
}

fn limit(requests: u64, hours: u64, counted: Counted) -> RateLimit {
    let window = Duration::from_secs(hours * 3600);
    RateLimit { requests, window, counted, reserve: None, assumed: false }
}

impl Registry {
    fn new(host: &'static str, limit: RateLimit) -> Self {
        let (counted, images, asked, looks) = Default::default();
        Self { host, user: None, limit, counted, images, tells: true, asked, looks }
    }

    fn left(&self, now: Monotonic) -> u64 {
        let window = self.limit.window;
        let counted = self.counted.iter().filter(|(at, _)| at.after(window) > now);
        let counted: u64 = counted.map(|(_, requests)| *requests).sum();
        self.limit.requests.checked_sub(counted).expect("429")
    }

    fn count(&mut self, requests: u64, now: Monotonic) {
        self.counted.push_back((now, requests));
        let left = self.left(now);
        assert!(left >= self.limit.reserved(), "{left} are left, and pulls need some");
    }

    /// What one check comes to, within what it may ask.
    fn answer(&mut self, request: &ResolveRequest, now: Monotonic) -> (Resolution, Spent) {
        let image = request.check.image.to_string();
        let name = self.images.get(&image).unwrap_or_else(|| panic!("{image}")).clone();
        *self.looks.entry(image).or_default() += 1;
        let probed = digest(&format!("index of {name}"));
        let left = if self.tells { self.left(now) } else { u64::MAX };
        let allowed = request
            .allowance
            .map_or(u64::MAX, |allowed| allowed.requests.min(left.saturating_sub(allowed.leave)));
        let of = |manifests, others| Requests { head: 1, manifests, others };
        let wanted = if request.known == Some(probed) { of(0, 0) } else { of(2, 1) };
        let short = self.limit.counted.of(wanted) > allowed;
        let requests = if short { of(0, 0) } else { wanted };
        let read = (!short && requests.manifests > 0).then(|| ResolvedImage {
            digest: digest(&name),
            metadata: ContentHash::of(name.as_bytes()),
        });
        self.asked.add(requests);
        self.count(self.limit.counted.of(requests), now);
        let told = self.tells.then(|| Told {
            limit: Some(self.limit.requests),
            window: Some(self.limit.window),
            remaining: self.left(now),
            resets: None,
        });
        let account = Account { host: self.host.into(), user: self.user.map(Into::into) };
        (
            Resolution { probed, image: read },
            Spent { by: vec![SpentBy { account, requests, told }], short },
        )
    }

    /// Answers everything that it is asked.
    fn answer_all(&mut self, world: &mut World) {
        let next = |world: &World| {
            let mut actions = world.actions.iter();
            let is_its = |action: &Action| match action {
                Action::Resolve(request) => request.check.image.registry_host() == self.host,
                _ => false,
            };
            actions.find(|(_, action)| is_its(action)).map(|(id, _)| *id)
        };
        let mut found = next(world);
        while let Some(id) = found {
            let Some(Action::Resolve(request)) = world.actions.remove(&id) else { panic!() };
            let (resolution, spent) = self.answer(&request, world.now.mono);
            tell(world, id, spent, resolution);
            let mut actions = world.actions.iter();
            let is_its = |action: &Action| match action {
                Action::Resolve(request) => request.check.image.registry_host() == self.host,
                _ => false,
            };
            found = actions.find(|(_, action)| is_its(action)).map(|(id, _)| *id);
        }
    }
}

fn tell(world: &mut World, id: ActionId, spent: Spent, resolution: Resolution) {
    world.step(vec![Input::Spent(id, spent), Input::Resolved(id, Ok(resolution))]);
}

const HUB: &str = "registry-1.docker.io";

fn with_limit(host: &str, limit: RateLimit) -> Policy {
    Policy { registry_limits: [(host.to_owned(), limit)].into(), ..World::policy() }
}

/// A stream of so many tags of Docker Hub.
fn stream(name: &str, images: std::ops::Range<usize>) -> String {
    let tags = images.map(|n| format!(" t{n}=docker.io/library/app{n}:1,scheduled"));
    format!("is {name}{}", tags.collect::<String>())
}

fn image(n: usize) -> String {
    format!("docker.io/library/app{n}:1")
}

/// Tags that are not what the registry says.
fn behind(world: &World, registry: &Registry) -> Vec<String> {
    let mut behind = Vec::new();
    for stream in world.engine.desired().streams.values() {
        for (tag, spec) in &stream.tags {
            let Some(tidegate::desired::TagSource::Registry(image)) = &spec.from else { continue };
            let Some(name) = registry.images.get(&image.to_string()) else { continue };
            let state = world.engine.observed().tag(&stream.name.tag(tag.clone())).unwrap();
            if state.image() != Some(digest(name)) {
                behind.push(format!("{}:{tag}", stream.name));
            }
        }
    }
    behind
}

/// A day with a registry that takes 100 counted requests in six hours, with more to read than it takes at once, images
/// that move, and a restart every 47 minutes, some of them in the middle of checks: nothing is lost, and no limit exceeded.
#[test]
fn i111_a_day_inside_a_hundred_requests_in_six_hours_with_restarts_loses_no_tag() {
    let mut world = World::with(with_limit(HUB, RateLimit::DOCKER_HUB));
    let mut hub = Registry::new(HUB, limit(100, 6, Counted::Manifests));
    for n in 0..120 {
        hub.images.insert(image(n), format!("first of {n}"));
    }
    let first = stream("first", 0..90);
    world.commit(&first);
    for minute in 0..24 * 60 {
        if minute == 12 * 60 {
            world.commit(&format!("{first}\n{}", stream("second", 90..120)));
        }
        if minute % 70 == 69 {
            let n = minute * 7 % 90;
            hub.images.insert(image(n), format!("moved at {minute}"));
        }
        world.advance(60);
        if minute % 47 == 46 {
            world.restart();
        }
        hub.answer_all(&mut world);
    }
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
    let records = world.journal.iter();
    let failed = records.filter(|record| matches!(record.fact, Fact::ImportFailed(_)));
    assert_eq!(failed.count(), 0, "waiting is no failure");
    // What is read is recorded; all else is looks, which are not counted.
    let records = world.journal.iter();
    let imported = records.filter(|record| matches!(record.fact, Fact::TagImported(_))).count();
    assert!(imported > 120, "{imported}");
    assert_eq!(hub.asked.manifests, 2 * imported as u64, "{:?}", hub.asked);
    assert!(
        hub.asked.head > 24 * 4 * 80,
        "each tag was looked at four times an hour: {:?}",
        hub.asked
    );
}

/// The same where every request counts: what cannot be looked at in time is looked at in its turn.
#[test]
fn i111_where_every_request_counts_all_tags_come_to_their_turn() {
    let mut world = World::with(with_limit("r.io", limit(60, 1, Counted::All)));
    let mut registry = Registry::new("r.io", limit(60, 1, Counted::All));
    registry.tells = false;
    let tags: String = (0..40).map(|n| format!(" t{n}=r.io/app{n}:1,scheduled")).collect();
    for n in 0..40 {
        registry.images.insert(format!("r.io/app{n}:1"), format!("first of {n}"));
    }
    world.commit(&format!("is all{tags}"));
    for minute in 0..20 * 60 {
        world.advance(60);
        if minute % 100 == 99 {
            world.restart();
        }
        registry.answer_all(&mut world);
    }
    assert_eq!(behind(&world, &registry), Vec::<String>::new());
    let (least, most) =
        (registry.looks.values().min().unwrap(), registry.looks.values().max().unwrap());
    assert!(
        registry.looks.len() == 40 && *most <= least * 2,
        "between {least} and {most} looks each"
    );
}

/// What others ask of the same registry, pulls first of all, is known from its headers alone.
#[test]
fn i111_what_the_registry_says_is_left_counts_whoever_took_the_rest() {
    let mut world = World::with(with_limit(HUB, RateLimit::DOCKER_HUB));
    let mut hub = Registry::new(HUB, limit(100, 6, Counted::Manifests));
    hub.images = (0..30).map(|n| (image(n), format!("first of {n}"))).collect();
    hub.counted.push_back((world.now.mono, 76)); // somebody pulled
    world.commit(&stream("web", 0..30));
    let mut waited = 0;
    for _ in 0..8 * 60 {
        hub.answer_all(&mut world);
        world.advance(60);
        waited += u32::from(!behind(&world, &hub).is_empty());
    }
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
    assert!(waited > 5 * 60, "only two could be read before the others had room again");
}

/// That a registry has nothing left says nothing about how much an image takes: however long others use up all of it, the
/// import neither fails nor asks for more room than it needs.
#[test]
fn i111_what_others_use_up_for_long_is_no_failure_of_an_image() {
    let mut world = World::with(with_limit(HUB, RateLimit::DOCKER_HUB));
    let mut hub = Registry::new(HUB, limit(100, 6, Counted::Manifests));
    hub.images = [(image(0), "first".to_owned())].into();
    world.commit(&stream("web", 0..1));
    for _ in 0..24 * 60 {
        // Others take what comes free, and leave what pulls need.
        hub.counted.clear();
        hub.counted.push_back((world.now.mono, 80));
        hub.answer_all(&mut world);
        world.advance(60);
    }
    assert_eq!(behind(&world, &hub), ["shop/web:t0"]);
    let records = world.journal.iter();
    let failed = records.filter(|record| matches!(record.fact, Fact::ImportFailed(_)));
    assert_eq!(failed.count(), 0, "waiting is no failure");
    hub.counted.clear();
    hub.counted.push_back((world.now.mono, 78));
    for _ in 0..20 {
        world.advance(60);
        hub.answer_all(&mut world);
    }
    assert_eq!(behind(&world, &hub), Vec::<String>::new(), "two requests are enough");
}

/// A tag that moved and cannot be read yet is not current, and says so.
#[test]
fn i111_a_moved_image_that_waits_for_requests_is_visibly_not_current() {
    let mut world = World::with(with_limit(HUB, limit(5, 6, Counted::Manifests)));
    let mut hub = Registry::new(HUB, limit(5, 6, Counted::Manifests));
    hub.images = (0..2).map(|n| (image(n), format!("first of {n}"))).collect();
    world.commit(&stream("web", 0..2));
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
    hub.images.insert(image(0), "second".into());
    world.advance(1100);
    hub.answer_all(&mut world);
    let live = world.live();
    let check = live.checks.iter().find(|check| check.image == image(0)).unwrap();
    let unread = check.unread.clone().expect("it is known to have moved");
    assert_eq!(unread.digest, Some(digest("index of second")));
    assert!(check.proven.unwrap() < unread.since, "it was not proven to be what it was");
    assert!(check.next.unwrap() > world.now.wall, "and is read when there is room");
    let waits = check.waits.as_deref().unwrap();
    assert!(waits.contains("registry-1.docker.io counts"), "{waits}");
    let other = live.checks.iter().find(|check| check.image == image(1)).unwrap();
    assert!(other.proven.is_some() && other.unread.is_none(), "a look is not counted");
    world.advance(6 * 3600);
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
    let reasons = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::TagImported(imported) => Some(imported.reason.clone()),
        _ => None,
    });
    assert_eq!(
        reasons.collect::<Vec<_>>().last(),
        Some(&Reason::ScheduleDue),
        "why it was looked at"
    );
}

/// Item 5: one check serves every tag that names the same image, and each tag's history has its own spelling (rule I54).
#[test]
fn i111_one_check_serves_every_spelling_of_an_image() {
    let all = "is web a=python b=docker.io/python:latest c=index.docker.io/library/python d=library/python:latest";
    let mut world = committed(all);
    assert_eq!(world.pending(), "resolve docker.io/library/python:latest");
    world.resolve("python", "a");
    for (tag, spelled) in
        [("a", "python"), ("b", "docker.io/python"), ("c", "index.docker.io/library/python")]
    {
        assert_eq!(world.tag(&format!("shop/web:{tag}")), format!("#a {spelled}@#a @2; spec @2"));
    }
    // Where a short name may mean something else, it is asked by itself.
    let policy = Policy { short_names_are_hub: false, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(all);
    let mut images: Vec<_> = world.checks().iter().map(|check| check.image.to_string()).collect();
    images.sort();
    assert_eq!(
        images,
        ["docker.io/library/python:latest", "library/python:latest", "python:latest"]
    );
}

/// Who orders an import that a limit puts off is told until when, and it is carried out then.
#[test]
fn i111_an_order_that_a_limit_puts_off_is_answered_at_once_and_carried_out_later() {
    let mut world = World::with(with_limit(HUB, limit(5, 6, Counted::Manifests)));
    let mut hub = Registry::new(HUB, limit(5, 6, Counted::Manifests));
    hub.images = (0..3).map(|n| (image(n), format!("first of {n}"))).collect();
    world.commit(&stream("web", 0..2));
    hub.answer_all(&mut world);
    world.commit(&stream("web", 0..3));
    let order = ImportOrder {
        stream: "shop/web".parse().unwrap(),
        tags: vec!["t2".parse().unwrap()],
        repository: false,
        commit: None,
    };
    world.order(Request::Import(order));
    let answer = world.answer();
    assert!(
        answer.contains("no request is left of those that registry-1.docker.io counts"),
        "{answer}"
    );
    assert!(answer.contains("not before 2026-01-01T0"), "{answer}");
    world.advance(7 * 3600);
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
}

/// An import that somebody ordered of a tag without a schedule is not forgotten because it had to wait.
#[test]
fn i111_what_was_asked_for_once_is_read_when_there_is_room() {
    let mut world = World::with(with_limit(HUB, limit(5, 6, Counted::Manifests)));
    let mut hub = Registry::new(HUB, limit(5, 6, Counted::Manifests));
    hub.images = (0..2).map(|n| (image(n), format!("first of {n}"))).collect();
    world.commit(&stream("web", 0..2).replace(",scheduled", ""));
    hub.answer_all(&mut world);
    hub.images.insert(image(1), "second".into());
    world.nudge("shop/web:t1");
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub), ["shop/web:t1"]);
    world.advance(7 * 3600);
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
}

#[test]
fn i111_a_limit_is_each_logins_own() {
    let mut world = World::with(with_limit(HUB, limit(10, 6, Counted::Manifests)));
    let of = |user| {
        let mut hub = Registry::new(HUB, limit(10, 6, Counted::Manifests));
        hub.user = user;
        hub.images = (0..6).map(|n| (image(n), format!("first of {n}"))).collect();
        hub
    };
    let (mut bob, mut nobody) = (of(Some("bob")), of(None));
    world.commit(&stream("web", 0..6));
    // Which login a repository takes is known once it was asked: three images are bob's.
    let mut rounds = 0;
    while !behind(&world, &bob).is_empty() {
        let ids: Vec<_> = world.actions.keys().copied().collect();
        for id in ids {
            let Some(Action::Resolve(request)) = world.actions.remove(&id) else { continue };
            let is_bobs = ["app0:", "app1:", "app2:"]
                .iter()
                .any(|app| request.check.image.to_string().contains(app));
            let hub = if is_bobs { &mut bob } else { &mut nobody };
            let (resolution, spent) = hub.answer(&request, world.now.mono);
            tell(&mut world, id, spent, resolution);
        }
        world.advance(1800);
        rounds += 1;
        assert!(rounds < 40, "{:?}", behind(&world, &bob));
    }
    let quota = world.live().quota;
    let accounts: Vec<_> = quota.iter().map(|quota| quota.account.to_string()).collect();
    assert_eq!(accounts, [HUB.to_owned(), format!("bob@{HUB}")]);
    assert_eq!((bob.asked.manifests, nobody.asked.manifests), (6, 6));
}

/// Three checks in a row without an answer are not the fault of one image: the others wait as well, and none is lost.
#[test]
fn i111_a_registry_that_gives_no_answer_is_left_alone_for_a_while() {
    use tidegate::fact::ImportReason::InternalError;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let tags = names.map(|name| format!(" {name}=r.io/{name}:1,scheduled"));
    let mut world = committed(&format!("is web{}", tags.concat()));
    for name in &names[..6] {
        world.resolve_fails(&format!("r.io/{name}:1"), InternalError, true);
    }
    assert_eq!(world.checks().len(), 0, "the others wait: {}", world.pending());
    let live = world.live();
    assert_eq!(live.registries.len(), 1);
    assert!(!live.registries[0].asked, "nobody asked for it");
    for _ in 0..4 {
        world.advance(60);
        world.resolve_all("a");
    }
    for name in names {
        let tag = format!("shop/web:{name}").parse().unwrap();
        assert_eq!(world.engine.observed().tag(&tag).unwrap().image(), Some(digest("a")), "{name}");
    }
    assert_eq!(world.live().registries, []);
}

/// Who asks for an import now is told what happens, not made to wait until a registry is thought to be well.
#[test]
fn i111_an_order_is_tried_at_once_where_a_registry_gives_no_answer() {
    use tidegate::fact::ImportReason::InternalError;
    let mut world = committed("is web a=r.io/a:1 b=r.io/b:1 c=r.io/c:1 d=r.io/d:1");
    for image in ["r.io/a:1", "r.io/b:1", "r.io/c:1", "r.io/d:1"] {
        world.resolve_fails(image, InternalError, true);
    }
    world.nudge("shop/web:a");
    assert_eq!(world.checks().len(), 1, "{}", world.pending());
}

/// A registry that says for how long it is to be left alone is left alone for so long, also by the next process.
#[test]
fn i111_a_restart_does_not_forget_who_asked_to_be_left_alone() {
    let mut world = committed("is web a=r.io/a:1,scheduled b=q.io/b:1,scheduled");
    world.too_many_requests("r.io/a:1", 3600);
    world.resolve("q.io/b:1", "b");
    world.restart();
    world.advance(1000);
    world.resolve_all("b");
    world.advance(2000);
    assert!(!world.pending().contains("r.io/a"), "{}", world.pending());
    world.resolve_all("b");
    world.advance(1000);
    assert!(world.pending().contains("r.io/a"), "{}", world.pending());
}

/// `maxScheduledImageImportsPerMinute`: more than that are not skipped for a round, as in OpenShift (I108), but come later.
#[test]
fn i111_a_rate_delays_and_skips_nothing() {
    let policy = Policy {
        scheduled_per_minute: NonZeroU32::new(3),
        checks_in_flight_max: 100,
        ..World::policy()
    };
    let mut world = World::with(policy);
    let tags: String = (0..30).map(|n| format!(" t{n}=r.io/app{n}:1,scheduled")).collect();
    world.commit(&format!("is all{tags}"));
    assert_eq!(world.checks().len(), 30, "the first import is no matter of schedules");
    world.resolve_all("a");
    let mut asked = BTreeMap::<String, usize>::new();
    let mut most = 0;
    for _ in 0..40 {
        world.advance(60);
        let checks = world.checks();
        most = most.max(checks.len());
        for check in checks {
            *asked.entry(check.image.to_string()).or_default() += 1;
        }
        world.resolve_all("a");
    }
    assert!(most <= 9, "twice the rate may come at once, then three a minute: {most}");
    assert_eq!(asked.len(), 30, "all had their turn");
    assert!(asked.values().all(|times| (1..=3).contains(times)), "{asked:?}");
}

/// `registries."HOST".per_minute` spreads whatever is asked of that registry, and of no other.
#[test]
fn i111_checks_of_a_registry_are_evenly_spread() {
    let rates = [("r.io".to_owned(), NonZeroU32::new(6).unwrap())].into();
    let policy = Policy { registry_rates: rates, checks_in_flight_max: 100, ..World::policy() };
    let mut world = World::with(policy);
    let tags =
        |host| -> String { (0..12).map(|n| format!(" {host}{n}={host}.io/app{n}:1")).collect() };
    world.commit(&format!("is all{}{}", tags("r"), tags("q")));
    assert_eq!(world.checks().len(), 13, "one of r.io, and all of q.io");
    world.resolve_all("a");
    for _ in 0..11 {
        world.advance(9);
        assert_eq!(world.checks().len(), 0, "{}", world.pending());
        world.advance(1);
        assert_eq!(world.checks().len(), 1, "{}", world.pending());
        world.resolve_all("a");
    }
}

/// A clock that is set back does not make a limit last longer than its window, however often the process starts.
#[test]
fn i111_a_clock_that_was_ahead_closes_no_registry_for_ever() {
    let mut world = World::with(with_limit(HUB, limit(5, 1, Counted::Manifests)));
    let mut hub = Registry::new(HUB, limit(5, 1, Counted::Manifests));
    hub.images = (0..4).map(|n| (image(n), format!("first of {n}"))).collect();
    world.commit(&stream("web", 0..4));
    hub.answer_all(&mut world);
    assert_eq!(behind(&world, &hub).len(), 2);
    world.now.wall =
        tidegate::time::Timestamp::from_millis(world.now.wall.as_millis() - 86_400_000);
    for _ in 0..4 {
        world.restart();
        world.advance(1200);
        hub.answer_all(&mut world);
    }
    assert_eq!(behind(&world, &hub), Vec::<String>::new());
}
