//! Tidegate: image streams for GitOps, without OpenShift.
//!
//! A daemon watches a git repository of `ImageStream`, `BuildConfig` and `DeploymentConfig` YAML, keeps what it knows in
//! one append-only journal, resolves image tags in OCI registries to digests, re-imports them on schedules, and rolls
//! out what depends on them. What it promises: truthful, once. Never silent, never twice, never backwards by accident.
//!
//! # The flow
//!
//! Outside facts come in as [`action::Input`]s. The synchronous [`engine::Engine::step`] turns them into facts, plans
//! what depends on them ([`plan`]), and returns [`engine::Effect`]s: append these records, start or cancel these
//! actions, wake me at. A thin tokio loop ([`daemon`]) carries the effects out and feeds the results back as inputs.
//! The [`journal`] is the only state we own; [`observed::ObservedState`] is a fold over it. A dry run is the same step,
//! printed instead of carried out. The simulator in `tests/it/sim` is the same step with another loop around it.
//!
//! ```text
//!   git commit ──▶ source ─┐                                   ┌─▶ append + fsync ─▶ journal ─▶ observed state
//!   registry poll ─────────┼─▶ inputs ─▶ Engine::step ─▶ effects ─┼─▶ actions: read · resolve · build · roll out · stop
//!   operator command ──────┘        (plan: pure)               └─▶ wake at
//!                      ▲                                              │
//!                      └────────────── results come back as inputs ◀──┘
//! ```
//!
//! # The map
//!
//! | module | its one subject |
//! |---|---|
//! | [`names`] | digests, tags, streams, objects, counters: newtypes, parsed once |
//! | [`reference`](mod@reference) | image references: grammar, normal form, what is shown |
//! | [`time`] | wall and monotonic time, spans, crontab lines; no clock |
//! | `dense` | how large collections are read into no more room than they need |
//! | [`limits`] | every bound with its unit and its argument |
//! | `secret` | what sounds like a secret, and text without it |
//! | [`fact`] | what can happen: the vocabulary of the journal |
//! | [`action`] | what the core asks of the world, and what comes back |
//! | [`api`] | OpenShift's image API: the objects that are shown |
//! | [`policy`] | what the core needs of the configuration |
//! | [`desired`] | files at one commit become objects and diagnostics |
//! | [`observed`] | records become the observed state |
//! | [`pods`] | a workload as the pods of one host: which steps, what is played, when it is healthy |
//! | [`builds`] | a `BuildConfig` as a build on one host: the files that buildah is given |
//! | [`effective`] | manifest, defaults and overlays: the objects that rules speak of |
//! | [`plan`] | desired, observed and now become steps and holds, by key |
//! | [`admit`] | who may start now, where there is less room than work |
//! | [`engine`] | one step; the only writer of state |
//! | [`hook`] | what notices of registries and git hosts say, and whether they are theirs |
//! | [`edit`] | manifests are changed: the text that is meant, and nothing else |
//! | [`scaffold`] | applications and builds out of a few words: found, named, made, told of |
//! | [`oc`] | what `oc` prints: tables, describe blocks, YAML, templates |
//! | [`report`] | states and plans become text and JSON |
//! | [`journal`] | the file: format, recovery, snapshots, object store |
//! | [`world`] | git, registries, the builder, targets: everything that actions reach |
//! | [`daemon`] | the loop, signals, readiness |
//! | [`control`] | the Unix socket that operators ask through |
//! | [`listener`] | the address that webhooks come in by; what became of each |
//! | [`config`], [`telemetry`] | settings with their origin; logs |
//! | [`cli`] | one file per command |
//! | [`sabotage`] | deliberate bugs, with a feature that only tests use: the simulator must see each |
//!
//! Where this differs from the architecture page: what `oc` prints is a room of its own, [`oc`], which knows [`api`]
//! objects and nothing of ours, so that the same code shows what somebody exported from a cluster; `policy` is new,
//! so that the core never sees a configuration file; what a restart may forget ([`observed::soft`]) is a value of its
//! own beside the observed state, so that law 3 is `==`; planning is by [`plan::Key`], and one check of a registry
//! serves all tags that ask the same. How much registries may be asked is in [`observed::quota`], as the journal proves it
//! and as this process knows it; [`admit`] knows only whether there is room. What a manifest means on a host is [`pods`]:
//! planning takes the steps of a rollout from it, and the podman and quadlet targets in [`world`] what they play and write.
//!
//! # Who may use whom
//!
//! ```text
//! shell   async, IO     main → cli → daemon, control, listener → world   config · telemetry
//! edge    sync IO                       journal → Disk
//! core    pure, sync    scaffold → edit → report · oc · engine → plan · admit → effective → desired, observed, hook
//!                       → policy · pods · builds · fact · action · api · names · reference · time · limits · dense
//!                       · secret · sabotage
//! ```
//!
//! A module uses what is to its right or below it. The core imports no tokio, no filesystem, no environment, no clock,
//! no randomness. `tests/it/tidy.rs` reads the `use` lines and fails on an arrow that is not in this drawing.
//!
//! # The laws
//!
//! Each has a test, and the simulator checks them after every step.
//!
//! 1. Record before deed: nothing is started whose intent is not on disk.
//! 2. Memory never leads the disk past a failure: a failed append ends the process.
//! 3. Same journal, same state: a replay equals the running state.
//! 4. Scoped planning equals whole planning ([`engine::Engine::overlooked`] is empty).
//! 5. Level driven: an event only says "look again".
//! 6. Once: a trigger's identity is (object, trigger, tag event); deliveries repeat only under one key.
//! 7. Never backwards by accident: an empty cache, a half-read commit or an unreachable registry changes nothing.
//! 8. Truthful: "could not check" is never shown as "no change"; every refusal says what would release it.
//! 9. One commit, one record; an invalid object keeps its last valid version.
//! 10. Secrets are never printed, logged or recorded.
//!
//! # Where to start reading
//!
//! [`fact`], then [`plan`], then [`engine`], then `tests/it/story`: an afternoon.

pub mod action;
pub mod admit;
pub mod api;
pub mod builds;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
mod dense;
pub mod desired;
pub mod edit;
pub mod effective;
pub mod engine;
pub mod fact;
pub mod hook;
pub mod journal;
pub mod limits;
pub mod listener;
pub mod names;
pub mod observed;
pub mod oc;
pub mod plan;
pub mod pods;
pub mod policy;
pub mod reference;
pub mod report;
pub mod sabotage;
pub mod scaffold;
mod secret;
pub mod telemetry;
pub mod time;
pub mod world;
