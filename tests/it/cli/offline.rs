//! What commands read without the daemon: journal, mirror and the versions that are kept.

use tidegate::fact::Fact;

use crate::support::daemon::Host;
use crate::support::git::Repo;

const DEPLOYMENT: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: 'r.example/web:1'}
";

#[test]
fn nothing_is_compared_with_a_version_that_is_lost() {
    let repo = Repo::new();
    repo.write("web.yaml", DEPLOYMENT).commit("first");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    repo.write("web.yaml", DEPLOYMENT.replace("replicas: 1", "replicas: -1")).commit("second");
    let kept = |fact: &Fact| {
        let Fact::CommitAdopted(adopted) = fact else { return None };
        adopted.rejected.iter().find_map(|rejected| rejected.kept)
    };
    let record = host.wait_for("the rejection", |fact| kept(fact).is_some());
    assert!(host.stop().success());
    let hash = kept(&record.fact).unwrap().to_string();
    assert_eq!(host.run(&["diff"]).status.code(), Some(0), "{}", host.text(&["diff"]));

    let (shard, rest) = hash.split_at(2);
    std::fs::remove_file(host.state().join("objects").join(shard).join(rest)).unwrap();
    let output = host.run(&["diff"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the last valid version of an object that is held is lost"), "{error}");
    let status = host.text(&["status"]);
    assert!(status.contains("is lost"), "{status}");
}
