//! Every bound, with its unit and its argument.

use std::num::NonZeroU32;
use std::time::Duration;

/// Bytes of one manifest file.
///
/// The largest of 1,721 real files has 0.4 MB; YAML of this size is read in 0.2 s, so a bad file cannot stall a step.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Documents in one manifest file.
///
/// A generated list of a cluster's objects has hundreds; this bounds the work that one file can cause.
pub const MANIFEST_DOCUMENTS_MAX: usize = 10_000;

/// Files that one commit may have below the watched paths.
///
/// The goal is 10,000; ten times that is still read in seconds, and a repository with more is almost surely not one
/// of manifests.
pub const SOURCE_FILES_MAX: usize = 100_000;

/// Bytes of all files that one read of the source may bring into memory.
///
/// The goal's 10,000 manifests have 20 MB; ten times that is a repository of something else, which `source.paths` or
/// the ignore file narrows down. It keeps a commit of large files from ending the daemon for want of memory.
pub const SOURCE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Objects that are copied one by one from a local repository into the mirror; more are fetched by `git` in one pack.
///
/// A commit that touches a few files brings fewer than ten objects. Each costs one synced file (0.1 to 1 ms), so that
/// around this number a run of `git fetch` is cheaper.
pub const SOURCE_COPY_OBJECTS_MAX: usize = 64;

/// Loose objects in the mirror before they are packed, and references with them.
///
/// A commit of one file brings three of them and one reference, which take 16 KiB on disk; packed, it takes some hundred
/// bytes. So the mirror has at most some 30 MiB more than it needs, and `git repack` runs once in two thousand commits,
/// for a second.
pub const MIRROR_LOOSE_MAX: usize = 6_400;

/// Packs in the mirror before they become one, as with `git gc`.
pub const MIRROR_PACKS_MAX: usize = 50;

/// Bytes that are kept of what `git` prints to either stream: a listing of 1,000 branches has 60 kB.
pub const GIT_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a manifest, index or config that a registry may answer with.
///
/// The distribution specification lets registries refuse manifests over 4 MiB, so larger ones do not exist in practice.
pub const REGISTRY_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tags of a repository that are imported when nobody says how many (rule I56).
pub const LISTED_TAGS_IMPORTED: NonZeroU32 = NonZeroU32::new(50).expect("50 is not 0");

/// Tags of one repository that are listed; a listing that has more is cut short, and says so.
///
/// The largest repositories that people import whole have some thousands.
pub const LISTED_TAGS_MAX: usize = 20_000;

/// Tags that one page of a listing is asked to have; registries may answer with fewer.
pub const LISTED_TAGS_PER_PAGE: usize = 1_000;

/// Images that were read lately and are not read again for another tag.
///
/// With their metadata, some kilobytes each. A whole repository is imported with at most [`REGISTRY_CHECKS_IN_FLIGHT_MAX`]
/// checks at once, in the order of importance, so the images of neighbouring tags are near each other in time.
pub const REGISTRY_IMAGES_REMEMBERED: usize = 512;
/// Images of an index that are read where it is kept whole: two requests each. Docker's official images have ten.
pub const REGISTRY_INDEX_IMAGES_MAX: usize = 100;

/// One request to a registry, from connect to the last byte (rule I111, item 3).
pub const REGISTRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Connecting to a registry (rule I47: a ping may take 15 s).
pub const REGISTRY_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes that are read of an answer that is an error; its first line is all that is shown.
pub const REGISTRY_ERROR_BYTES_MAX: usize = 64 * 1024;

/// How long a mirror is left alone that gives no answer.
///
/// Each check of a tag whose mirror is gone would wait [`REGISTRY_CONNECT_TIMEOUT`] for it before the next place is
/// asked. One check in this time finds out whether it is back, and the others do not wait.
pub const MIRROR_REST: Duration = Duration::from_secs(10);

/// Bytes of a file of containers-registries.conf(5): a hundred mirrors have 20 kB.
pub const REGISTRIES_CONF_BYTES_MAX: u64 = 1024 * 1024;

/// Redirects that one request follows; registries use one, to their blob store.
pub const REGISTRY_REDIRECTS_MAX: usize = 5;

/// The longest `Retry-After` that is obeyed: a typing error there must not silence a registry for years.
pub const REGISTRY_RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a file of registry logins; real ones have a few hundred.
pub const REGISTRY_LOGINS_BYTES_MAX: u64 = 1024 * 1024;

/// Time between two looks whether files of logins changed: a few `stat`s, so that nobody who mends one has to wait.
pub const LOGINS_LOOK: Duration = Duration::from_secs(5);

/// Time that a credential helper has to answer: some ask a cloud for a new password, and a person is never asked.
pub const CREDENTIAL_HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a credential helper's answer: passwords of clouds have up to three thousand.
pub const CREDENTIAL_HELPER_BYTES_MAX: u64 = 64 * 1024;

/// Checks in flight at one registry (rule I111, item 3).
pub const REGISTRY_CHECKS_IN_FLIGHT_MAX: usize = 4;

/// Default time between two checks of a scheduled tag (rule I111: OpenShift's 900 s).
pub const IMPORT_INTERVAL: Duration = Duration::from_secs(900);

/// The shortest interval that `tidegate.dev/schedule` may ask for (rule I111, item 1).
pub const IMPORT_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// First delay before a failed import is tried again; it doubles up to the scheduled interval (rule I43).
pub const IMPORT_RETRY_FIRST: Duration = Duration::from_secs(15);

/// Rollouts in flight at once, over all targets of a host.
///
/// A base image that moves reaches every service on it. Two at a time keeps a two-core host responsive and still
/// finishes forty services in the time of twenty; more would make all of them slow to become ready and fail together.
pub const ROLLOUTS_IN_FLIGHT_MAX: usize = 2;

/// First delay before a rollout that failed for a passing reason is delivered again; it doubles (rules T14, T25).
///
/// Three retries are then over after 35 s: longer than a receiver takes to be started anew, which is no verdict about
/// an image.
pub const ROLLOUT_RETRY_FIRST: Duration = Duration::from_secs(5);

/// Longest delay between two deliveries of one rollout (rule T14).
pub const ROLLOUT_RETRY_MAX: Duration = Duration::from_secs(30);

/// How long a digest that was replaced is not rolled out again by a trigger (rule T24, `triggers.flap_guard`).
pub const FLAP_GUARD: Duration = Duration::from_mins(5);

/// How often a rollout is delivered again after a passing failure (rule T25).
pub const ROLLOUT_RETRIES: u32 = 3;

/// How often a revision is put back again after a passing failure: nobody else does it.
pub const ROLLBACK_RETRIES: u32 = 20;

/// Instances of one workload on one host: what is played is put together in memory, a pod for each, and a network of podman
/// has room for 253.
pub const HOST_INSTANCES_MAX: u32 = 1_000;

/// One look of podman at what runs: it answers in a tenth of a second, and later under load.
pub const PODMAN_LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// One change that podman makes, beside what the program itself may take to end.
pub const PODMAN_ACT_TIMEOUT: Duration = Duration::from_secs(120);

/// Time that one rollout may take, from its start to its end (DBT 1.1, `timeoutSeconds`).
pub const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(600);

/// Rollouts before the complete one that are kept at most, whatever `revisionHistoryLimit` says: each is in memory and in
/// every snapshot.
pub const ROLLOUT_HISTORY_MAX: u32 = 100;

/// Runs of a `CronJob` that are remembered at most of each end, whatever its history limits say: each is in memory and in
/// every snapshot.
pub const JOB_HISTORY_MAX: u32 = 100;

/// Builds of a `BuildConfig` that are remembered at most of each end, whatever its history limits say: each is in memory
/// and in every snapshot.
pub const BUILD_HISTORY_MAX: u32 = 100;

/// Builds of one `BuildConfig` that wait or run: what asks for more by webhook would fill the journal.
pub const BUILDS_ACTIVE_MAX: usize = 100;

/// Builds in flight, over all `BuildConfig`s (`builds.in_flight`): one takes a processor and more.
pub const BUILDS_IN_FLIGHT_MAX: usize = 1;

/// How long a build may take without `completionDeadlineSeconds` (`builds.timeout`).
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// The shortest `builds.timeout`.
pub const BUILD_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// Bytes that are handed over for one build (`start-build --from-dir`): a source tree with its history has some hundred MB.
pub const UPLOAD_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Uploads at once: each may fill the disk by [`UPLOAD_BYTES_MAX`].
pub const UPLOADS_AT_ONCE_MAX: usize = 2;

/// One upload, whatever it has: from a process on the same host.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_mins(10);

/// How often a build is tried again that did not get through to the builder.
pub const BUILD_RETRIES: u32 = 3;

/// Runs of one `CronJob` that may go on at once where `concurrencyPolicy` allows several: one that never ends would fill
/// the host.
pub const JOBS_RUNNING_MAX: usize = 50;

/// How far a scheduled time that was reached may lie ahead before it is told that the clock was: what a time service
/// corrects is less.
pub const JOB_AHEAD_MAX: Duration = Duration::from_mins(10);

/// How long after a run failed it is tried again; then twice as long, up to the other (as Kubernetes has it).
pub const JOB_RETRY_FIRST: Duration = Duration::from_secs(10);

/// Longest time between two attempts of a run.
pub const JOB_RETRY_MAX: Duration = Duration::from_mins(6);

/// How long a changed template waits for the import of a tag that the same commit changed, so that both make one rollout:
/// more than an import takes, less than anybody waits for (rule T27).
pub const TRIGGERS_SETTLE: Duration = Duration::from_secs(10);

/// Rollouts that the observed state keeps per object beside the running and the active one (`revisionHistoryLimit`).
pub const ROLLOUT_HISTORY_LEN: usize = 10;

/// Bytes of what a target printed that are kept with a rollout; the journal is no log store.
pub const ROLLOUT_LOG_BYTES_MAX: usize = 2 * 1024;

/// Time between two looks at a remote repository.
pub const SOURCE_POLL: Duration = Duration::from_secs(60);

/// Bytes of the configuration file: a hundred targets have 30 kB, and what is much larger is another file.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// First delay before a source that could not be read is tried again; it doubles up to the poll interval.
pub const SOURCE_RETRY_FIRST: Duration = Duration::from_secs(2);

/// One run of `git fetch`.
pub const SOURCE_FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// Time that a `git` which was told to end has to clean up after itself before it is killed.
///
/// Less than [`STOP_GRACE`]: a `git` that does not end must not outlive the daemon.
pub const GIT_GRACE: Duration = Duration::from_millis(400);

/// The least time between two calls for one burst of file events: one commit makes 30 to 55 of them in some 50 ms.
pub const WATCH_QUIET: Duration = Duration::from_millis(250);

/// Time between two looks at a repository on a file system that sends no events.
pub const WATCH_POLL: Duration = Duration::from_secs(5);

/// Objects that one commit may remove before the removals are held (rule D52).
pub const PRUNE_OBJECTS_MAX: usize = 5;

/// The longest time over which a registry is believed to count.
pub const REGISTRY_WINDOW_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Checks of a registry in a row that get no answer before all others of it wait as well.
///
/// One image may be broken at its registry; three are not.
pub const REGISTRY_FAILURES_MAX: u32 = 3;

/// The longest time for which a registry that gives no answer is left alone.
pub const REGISTRY_REST_MAX: Duration = Duration::from_secs(5 * 60);

/// The least time between two `Checkpoint` records.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// The longest time the engine sleeps: a wall clock that was set is noticed within this.
pub const WAKE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Bytes after which the journal goes on in a new file.
///
/// A start reads at most one file in front of what its snapshot lacks: hashing this much takes 0.1 s. Retention drops
/// whole files, so this is also its grain.
pub const JOURNAL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of space that the journal fills at once.
///
/// About 4,000 records, so that filling costs nothing per record, and little enough to be written in some milliseconds.
pub const JOURNAL_FILL_BYTES: u64 = 1024 * 1024;

/// Bytes of space that the journal keeps filled ahead of its last line.
///
/// Some 4,000 records: what is under way when the disk runs full can still be recorded, and that it is full.
pub const JOURNAL_RESERVE_BYTES: u64 = 1024 * 1024;

/// Bytes of the journal's files that are kept where nobody says otherwise: some 3,000,000 records.
pub const JOURNAL_KEEP_BYTES: u64 = 1024 * 1024 * 1024;

/// Free bytes below the state directory under which nothing new is started.
///
/// A step may store some rendered manifests, a fetch some objects, and the journal fills a MiB at a time.
pub const STATE_FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// Bytes of one line of the journal.
///
/// The largest record is the adoption of a first commit: 100,000 objects with 150 bytes each are 15 MB.
pub const JOURNAL_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Time to connect to a webhook target; the answer may take as long as the target's own timeout.
pub const TARGET_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer of a webhook target that are read; an answer is a state and a message.
pub const TARGET_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The longest time that a target can ask to be left alone: longer ones are cut, since a typing error must not stop
/// rollouts for days.
pub const TARGET_RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Time to deliver a notice, which is tried once.
pub const TARGET_NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between SIGTERM and SIGKILL for a program of an exec target.
pub const TARGET_KILL_GRACE: Duration = Duration::from_secs(5);

/// Time that the daemon waits, when it is told to end, for programs that it told to end; then they are killed.
///
/// With the rest of an end this stays under a second.
pub const STOP_GRACE: Duration = Duration::from_millis(600);

/// Time between two looks whether an earlier run of a program has ended, after a restart.
pub const TARGET_LOCK_POLL: Duration = Duration::from_millis(100);

/// Time for the last output of a program that has ended to arrive; a child of it may hold the pipe open for ever.
pub const TARGET_OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Lines of what a target printed that are kept with a rollout (rule R31).
pub const ROLLOUT_LOG_LINES_MAX: usize = 5;

/// How long a line of what a target printed may be: 120 characters, as in OpenShift's log snippets (rule B31). Of a longer
/// one its beginning and its end are kept.
pub const ROLLOUT_LOG_LINE_MAX: usize = 120;
/// How far wall clock and monotonic clock may drift apart before everything is planned again.
///
/// NTP slews by less than this in an hour; a cron slot or a grace time that is this late harms nobody.
pub const CLOCK_DRIFT_MAX: Duration = Duration::from_secs(2);

/// Bytes of the body of a webhook.
///
/// Notices of registries have 2 kB, pushes of a hundred commits 200 kB; OpenShift's limit is the same (rule B25).
pub const HOOK_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Connections of webhooks at once. With a body each they hold at most 32 MiB.
pub const HOOK_CONNECTIONS_MAX: usize = 32;

/// One connection of a webhook, from its first byte to the last one of the answer: one request.
///
/// Senders give up after 5 to 30 s; whoever sends headers or a body slower than this keeps others out.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Deliveries whose end is still awaited; a sender is asked to come again where there are more.
pub const HOOK_DELIVERIES_WAITING_MAX: usize = 256;

/// Entries of a list in a notice that are read; real ones have one to twenty.
pub const HOOK_ENTRIES_MAX: usize = 1_000;

/// Hints that one notice may give; what it names beyond them is found by the schedule.
pub const HOOK_HINTS_MAX: usize = 64;

/// Secrets of one hook: the old one and the new one, and some to spare.
pub const HOOK_SECRETS_MAX: usize = 8;

/// Bytes of a file of secrets; a secret has some 64.
pub const HOOK_SECRETS_BYTES_MAX: u64 = 64 * 1024;

/// Variables and arguments of a build that one payload may set, in bytes: they are kept in its record.
pub const HOOK_ENV_BYTES_MAX: usize = 32 * 1024;

/// Characters that are kept of a commit's message, author and committer, each: they stand in a record of its build.
pub const COMMIT_CHARS_MAX: usize = 200;

/// Deliveries that are kept of one `BuildConfig` (complaint U16).
pub const HOOK_BUILD_DELIVERIES_KEPT: usize = 20;

/// `BuildConfig`s whose deliveries are kept; each has some 5 kB of them.
pub const HOOK_BUILDS_KEPT: usize = 1_000;

/// How long a remote repository may take to say which branch is its default one; the sender of a push waits for it, and
/// gives up after 10 s.
pub const HOOK_DEFAULT_BRANCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long that is believed (rule B21): who renames the default branch of a repository waits no longer for his builds.
pub const HOOK_DEFAULT_BRANCH_KEPT: Duration = Duration::from_secs(15 * 60);

/// Deliveries of webhooks that are kept to be shown: some minutes of a busy registry, at most 1 MB.
pub const HOOK_DELIVERIES_KEPT: usize = 200;

/// How long after a notice of a registry its tag is looked at first.
///
/// The CNCF's distribution tells of a push before it has written the tag: for 5 to 30 ms it answers the old digest, or an
/// error. With this a rollout still starts within 100 ms.
pub const HOOK_SETTLES: Duration = Duration::from_millis(30);

/// How long after each look a registry is looked at again that does not have what it told of.
///
/// Slower disks and replicas behind one name need this; where a later push has replaced what was told, it is four
/// requests in vain.
pub const HOOK_LOOKS_AGAIN: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// Looks at the repository of a build before it counts as not reachable (rule B35).
pub const BUILD_GIT_TRIES: u32 = 4;

/// One such look.
pub const BUILD_GIT_TRY_TIMEOUT: Duration = Duration::from_secs(16);

/// Time between two of them.
pub const BUILD_GIT_TRY_PAUSE: Duration = Duration::from_secs(1);

/// One run of git for a build: a clone of a large repository takes its time.
pub const BUILD_GIT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How often an image is pulled or pushed before a build fails (rule B43).
pub const BUILD_IMAGE_TRIES: u32 = 3;

/// Time between two of them.
pub const BUILD_IMAGE_TRY_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of the log of one build (`builds.log_size`).
pub const BUILD_LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Bytes that an archive for a build may hold: a tree of sources, not a disk.
pub const BUILD_INPUT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Files, folders and links that it may hold.
pub const BUILD_INPUT_FILES_MAX: u64 = 1_000_000;

/// Bytes of what such an archive says of one entry beside its content: a path has 4 KiB, and this is read into memory.
pub const BUILD_INPUT_HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a script of the Source strategy that is got by HTTP.
pub const BUILD_SCRIPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Time to get one.
pub const BUILD_SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for the last output of a program of a build to arrive that left nothing behind which could hold the pipe open.
pub const BUILD_OUTPUT_GRACE: Duration = Duration::from_secs(10);
