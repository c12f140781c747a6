//! How a page of `status` begins and ends: where it is, and what somebody should look at (rules C10, C12, C18).

use std::collections::BTreeMap;

use insta::assert_snapshot;
use tidegate::action::RolloutVerb;
use tidegate::fact::BuildEnd;
use tidegate::policy::Policy;
use tidegate::report::select::Known;
use tidegate::report::status::{Hints, Input, Status};
use tidegate::report::to_json;

use crate::support::builds::ended;
use crate::support::engine::World;
use crate::support::start::{moves, running};

/// The BuildConfig of founding text 2, as it stands there.
const EXAMPLE_APP: &str = "kind: BuildConfig
apiVersion: build.openshift.io/v1
metadata:
  name: example-app
spec:
  source:
    type: Git
    git:
      uri: 'https://github.com/sclorg/nodejs-ex.git'
  strategy:
    type: Source
    sourceStrategy:
      from:
        kind: ImageStreamTag
        name: 'nodejs-8-centos7:latest'
  output:
    to:
      kind: ImageStreamTag
      name: 'example-app:latest'
  triggers:
    - type: ConfigChange
    - type: ImageChange
";

/// A world that builds, with these objects.
fn building(objects: &str) -> World {
    let mut world =
        World::with(Policy { builds_enabled: true, builds_in_flight_max: 4, ..World::policy() });
    world.commit(objects);
    world
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// The status of a namespace, or of everything.
fn status(world: &World, project: Option<&str>) -> Status {
    let engine = &world.engine;
    let project = project.map(|project| project.parse().unwrap());
    let known = Known::of(engine.desired(), engine.observed());
    let select = project.as_ref().map(|project| known.in_namespace(project));
    Status::of(&Input {
        repository: Some("https://git.example.com/shop.git"),
        view: engine.view(world.now),
        unread: None,
        live: None,
        silent: None,
        select: select.as_ref(),
        project: project.as_ref(),
        past: false,
    })
}

/// What stands below the page.
fn ending(status: &Status, program: &str, hints: Hints) -> String {
    anstream::adapter::strip_str(&status.ending(program, hints)).to_string()
}

fn suggested(world: &World) -> String {
    ending(&status(world, None), "tidegate", Hints::Told)
}

fn counted(world: &World) -> String {
    ending(&status(world, None), "tidegate", Hints::Counted)
}

/// The first line of the page.
fn first(world: &World, project: Option<&str>) -> String {
    let page = status(world, project).to_text();
    anstream::adapter::strip_str(page.lines().next().unwrap()).to_string()
}

#[test]
fn c010_the_first_line_names_project_repository_and_commit() {
    let mut world = World::new();
    let none = "In project default from https://git.example.com/shop.git: no commit adopted yet";
    assert_eq!(first(&world, None), none);
    assert_eq!(counted(&world), "", "nothing is known yet, and nothing is said of it");
    world.commit("is web latest=r.io/web:1");
    let shop = "In project shop from https://git.example.com/shop.git@000000000";
    assert_eq!(first(&world, None), shop);
    world.commit("is web latest=r.io/web:1\nis web latest=r.io/web:1 ns=test");
    let all = "Showing all projects from https://git.example.com/shop.git@000000000";
    assert_eq!(first(&world, None), all);
    assert_eq!(first(&world, Some("shop")), shop);
    assert_eq!(first(&world, Some("empty")), shop.replace("shop from", "empty from"));
}

#[test]
fn c010_a_namespace_without_anything_to_run_says_how_to_begin() {
    let mut world = World::new();
    world.commit("is web latest=r.io/web:1\ndc app main=r.io/app:1 ns=test");
    let empty = "\nYou have no services, deployment configs, or build configs.\nRun 'oc new-app' to create an \
                 application.\n";
    for (project, hints) in [("shop", Hints::Counted), ("shop", Hints::Told), ("none", Hints::Told)]
    {
        assert_eq!(ending(&status(&world, Some(project)), "oc", hints), empty);
    }
    let other = ending(&status(&world, Some("test")), "oc", Hints::Told);
    assert!(other.contains("dc/app has no readiness probe"), "{other}");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {a: b}}\n";
    let mut world = World::new();
    world.commit_files(files(&[("web.yaml", service)]));
    let details = "\nView details with 'tidegate describe <resource>/<name>' or list resources with 'tidegate get all'.\n";
    assert_eq!(counted(&world), details);
}

/// C12: what leads nowhere, as errors where it cannot work and as warnings where something has to come first.
#[test]
fn c012_what_leads_nowhere_is_told_with_what_to_do() {
    let mut world = building(
        "is base 1=r.io/base:1\nis app push=r.io/team/app\nis idle\nbc app from=tag:base:1 to=app:latest config watch\n\
         bc lost from=tag:none:1 to=nowhere:latest watch still=none:2\n\
         dc gone main<absent:latest\ndc web main<app:latest\ndc never main<idle:latest",
    );
    assert_snapshot!(suggested(&world).trim(), @r"
    Errors:
      * The image trigger for bc/lost will have no effect because is/none does not exist.
        try: tidegate create imagestream none -n shop
      * bc/lost is pushing to istag/nowhere:latest, but the image stream for that tag does not exist.
        try: tidegate create imagestream nowhere -n shop
      * The image trigger for dc/gone will have no effect because is/absent does not exist.
        try: tidegate create imagestream absent -n shop

    Warnings:
      * The image trigger for bc/app will have no effect until istag/base:1 is imported or created by a build.
        try: tidegate import-image base:1 -n shop
      * The image trigger for dc/never will have no effect until istag/idle:latest is imported or created by a build.
      * The image trigger for dc/web will have no effect until istag/app:latest is imported or created by a build.
        try: tidegate start-build app -n shop

    Info:
      * dc/gone has no readiness probe to verify pods are ready to accept traffic or ensure deployment is successful.
        try: add a `readinessProbe` to a container of its pod template, in shop/dc-gone.yaml:1:1
      * dc/never has no readiness probe to verify pods are ready to accept traffic or ensure deployment is successful.
        try: add a `readinessProbe` to a container of its pod template, in shop/dc-never.yaml:1:1
      * dc/web has no readiness probe to verify pods are ready to accept traffic or ensure deployment is successful.
        try: add a `readinessProbe` to a container of its pod template, in shop/dc-web.yaml:1:1

    View details with 'tidegate describe <resource>/<name>' or list resources with 'tidegate get all'.
    ");
    assert_snapshot!(counted(&world).trim(), @"3 errors, 3 warnings, 3 infos identified, use 'tidegate status --suggest' to see details.");
    // A build on its way brings the image.
    world.resolve("r.io/base:1", "a");
    let running = suggested(&world);
    assert!(!running.contains("istag/app:latest") && !running.contains("bc/app"), "{running}");
    world.built("app-1", ended(BuildEnd::Failed, "DockerBuildFailed"));
    let failed = suggested(&world);
    let told = "  * build/app-1 has failed.\n    try: tidegate logs build/app-1 -n shop\n";
    assert!(failed.contains(told), "{failed}");
    assert!(failed.contains("until istag/app:latest is imported"), "{failed}");
}

/// C12: the same under the name `oc`, in another namespace, and as data.
#[test]
fn c012_hints_name_the_program_as_it_was_called_and_programs_read_them_too() {
    let mut world = building("dc gone main<absent:latest");
    let page = status(&world, None);
    let counted = ending(&page, "oc", Hints::Counted);
    let told = ending(&page, "oc", Hints::Told);
    assert_eq!(
        counted,
        "\n1 error, 1 info identified, use 'oc status --suggest' to see details.\n"
    );
    assert!(told.contains("    try: oc create imagestream absent -n shop\n"), "{told}");
    assert!(told.ends_with("list resources with 'oc get all'.\n"), "{told}");
    let json: serde_json::Value = serde_json::from_str(&to_json(&page)).unwrap();
    let marker = &json["markers"][0];
    assert_eq!(marker["severity"], "error");
    assert_eq!(marker["key"], "MissingImageStream");
    assert_eq!(marker["object"], "DeploymentConfig/shop/gone");
    assert_eq!(marker["try"], "tidegate create imagestream absent -n shop");
    // Seen from several namespaces, each name says where it is.
    world.commit("dc gone main<absent:latest\nis web latest=r.io/web:1 ns=test");
    let told = suggested(&world);
    let line = "The image trigger for dc/gone[shop] will have no effect because is/absent[shop] does not exist.";
    assert!(told.contains(line), "{told}");
}

/// S2.4: the BuildConfig of the founding text loads as it is, and says what it lacks.
#[test]
fn c012_the_example_of_the_founding_text_says_what_it_lacks() {
    let mut world = World::new();
    world.commit_files(files(&[("example-app.yaml", EXAMPLE_APP)]));
    assert_eq!(
        first(&world, None),
        "In project default from https://git.example.com/shop.git@000000000"
    );
    assert_snapshot!(suggested(&world).trim(), @r"
    Errors:
      * The image trigger for bc/example-app will have no effect because is/nodejs-8-centos7 does not exist.
        try: tidegate create imagestream nodejs-8-centos7
      * bc/example-app is pushing to istag/example-app:latest, but the image stream for that tag does not exist.
        try: tidegate create imagestream example-app

    View details with 'tidegate describe <resource>/<name>' or list resources with 'tidegate get all'.
    ");
    assert_snapshot!(counted(&world).trim(), @"2 errors identified, use 'tidegate status --suggest' to see details.");
    let streams = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: example-app}\n---\n\
                   apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: nodejs-8-centos7}\nspec: {tags: \
                   [{name: latest, from: {kind: DockerImage, name: r.io/nodejs:8}}]}\n";
    world.commit_files(files(&[("example-app.yaml", EXAMPLE_APP), ("streams.yaml", streams)]));
    assert_snapshot!(suggested(&world).trim(), @r"
    Warnings:
      * The image trigger for bc/example-app will have no effect until istag/nodejs-8-centos7:latest is imported or created by a build.
        try: tidegate import-image nodejs-8-centos7:latest

    View details with 'tidegate describe <resource>/<name>' or list resources with 'tidegate get all'.
    ");
    world.resolve("r.io/nodejs:8", "a");
    assert!(!suggested(&world).contains("image trigger"), "{}", suggested(&world));
}

/// C12: a readiness probe of any container is one.
#[test]
fn c012_a_workload_with_a_readiness_probe_is_not_told_of() {
    let deployment = |more: &str| {
        format!(
            "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n      - {{name: log, image: \
             'r.io/log:1', env: [{{name: A, value: readinessProbe}}]}}\n      - {{name: main, image: 'r.io/web:1'{more}}}\n"
        )
    };
    let told = |more: &str| {
        let mut world = World::new();
        world.commit_files(files(&[("web.yaml", &deployment(more))]));
        suggested(&world)
    };
    let without = told("");
    assert!(
        without.contains("\nInfo:\n  * dc/web has no readiness probe to verify pods"),
        "{without}"
    );
    assert!(without.contains("    try: add a `readinessProbe` to a container"), "{without}");
    let with = told(", readinessProbe: {tcpSocket: {port: 80}}");
    assert!(!with.contains("readiness"), "{with}");
}

/// C12, D48: a rollback that holds is a warning until somebody goes on.
#[test]
fn c012_d048_a_held_rollback_is_told() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.rollout("DeploymentConfig/shop/app", RolloutVerb::Undo { to: None });
    world.complete("app");
    let told = suggested(&world);
    assert!(told.contains("\nWarnings:\n  * dc/app is held at revision 1 by "), "{told}");
    assert!(told.contains("    try: tidegate rollout latest dc/app -n shop\n"), "{told}");
    world.rollout("DeploymentConfig/shop/app", RolloutVerb::Latest { again: false });
    assert!(!suggested(&world).contains("is held at"), "{}", suggested(&world));
}

/// C12, T24: a trigger that may not act yet says why.
#[test]
fn c012_t024_a_suspended_trigger_is_told() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.advance(60);
    moves(&mut world, "a");
    let told = suggested(&world);
    assert!(told.contains("  * The image trigger for dc/app is suspended: "), "{told}");
    assert!(told.contains("comes back less than 5m after it was replaced"), "{told}");
    world.advance(300);
    assert!(!suggested(&world).contains("suspended"), "{}", suggested(&world));
}

/// C12, B16: a ring is told once, whoever is on it.
#[test]
fn c012_b016_a_ring_of_builds_is_told_once() {
    let world = building(
        "is a push=r.io/a\nis b push=r.io/b\nbc a from=tag:b:latest to=a:latest watch\nbc b from=tag:a:latest to=b:latest watch",
    );
    let told = suggested(&world);
    let ring = "  * Cycle detected in build configurations: a -> b -> a\n    try: take a trigger";
    assert!(told.contains(ring), "{told}");
    assert_eq!(told.matches("Cycle detected").count(), 1, "{told}");
}

/// C12, D9 and B54: what was warned of when the manifests were loaded is among the warnings, with what to do.
#[test]
fn c012_d009_b054_what_loading_warned_of_is_told() {
    let world = building(
        "is base 1=r.io/base:1\nis app latest=r.io/up/app:1 push=r.io/team/app\nbc app from=tag:base:1 to=app:latest",
    );
    let told = suggested(&world);
    assert!(
        told.contains("\nWarnings:\n  * `BuildConfig/shop/app` pushes to `shop/app:latest`"),
        "{told}"
    );
    assert!(
        told.contains("    try: drop `from` of the spec tag `latest`, or push to another tag"),
        "{told}"
    );
    let misnamed = "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {name: web, namespace: shop}\nspec:\n  \
                    triggers:\n  - type: ImageChange\n    imageChangeParams: {automatic: true, containerNames: [web], from: \
                    {kind: ImageStreamTag, name: 'web:1'}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: \
                    {containers: [{name: main, image: 'r.io/web:1'}]}\n";
    let mut world = World::new();
    world.commit_files(files(&[("web.yaml", misnamed)]));
    let told = suggested(&world);
    let line = "  * deploymentconfig/web image trigger on web:1 names container \"web\", but the pod template has only: main; \
                the trigger is applied to `main`, the only container there is\n    try: correct `containerNames` in web.yaml:7:";
    assert!(told.contains(line), "{told}");
}
