//! Bringing new commits into the mirror: copied from a local repository, or fetched by the `git` program.

use std::ffi::OsString;

use git2::{Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::error::{Problem, SourceError};
use super::program::{Answer, Stopped};
use super::{ASKED, HEAD, Source, chain, local, program};

impl Source {
    pub(super) fn take_local(
        &self,
        repository: &Repository,
        mirror: &Repository,
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<local::Head, Problem> {
        let shown = self.shown();
        let mut head = local::head(repository, &self.config.branch, &shown)?;
        let known = mirror.refname_to_id(HEAD).ok();
        if known == Some(head.id) {
            return Ok(head);
        }
        if let Some(known) = known {
            // An error on the way, a missing object for one, is better told by `git`.
            if local::copy(repository, mirror, head.id, known).unwrap_or(false) {
                let moved = mirror.reference(HEAD, head.id, true, "");
                moved.map_err(|error| Problem::git(self.mirror.display().to_string(), error))?;
                return Ok(head);
            }
        }
        let from = if head.branch == "HEAD" {
            "HEAD".to_owned()
        } else {
            format!("refs/heads/{}", head.branch)
        };
        let said = self.fetch(&from, HEAD, checked, cancel)?;
        if !said.status.success() {
            return Err(self.fetch_problem(&said));
        }
        head.id = self.fetched(HEAD)?;
        Ok(head)
    }

    pub(super) fn take_remote(
        &self,
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<local::Head, Problem> {
        let branch = if self.config.branch.is_empty() {
            self.remote_head(checked, cancel)?
        } else {
            self.config.branch.clone()
        };
        let from = if branch == "HEAD" { branch.clone() } else { format!("refs/heads/{branch}") };
        let said = self.fetch(&from, HEAD, checked, cancel)?;
        if said.status.success() {
            return Ok(local::Head { id: self.fetched(HEAD)?, branch });
        }
        if !said.stderr.contains("find remote ref") {
            return Err(self.fetch_problem(&said));
        }
        let listed = self.list(&["--heads"], &[], checked, cancel)?;
        let there: Vec<String> = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter_map(|line| line.split_once("\trefs/heads/"))
            .map(|(_, name)| name.to_owned())
            .collect();
        Err(local::no_branch(&self.shown(), &branch, &there))
    }

    pub(super) fn take_revision(
        &self,
        revision: &str,
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<local::Head, Problem> {
        let whole = revision.len() == 40 && Oid::from_str(revision).is_ok();
        let valid = whole || git2::Reference::is_valid_name(&format!("refs/heads/{revision}"));
        if valid {
            let said = self.fetch(revision, ASKED, checked, cancel)?;
            if said.status.success() {
                let id = self.fetched(ASKED)?;
                return Ok(local::Head { id, branch: revision.to_owned() });
            }
            let missing = ["find remote ref", "not our ref", "unadvertised object"];
            if !missing.iter().any(|text| said.stderr.contains(text)) {
                return Err(self.fetch_problem(&said));
            }
        }
        // A short commit name, or a commit that the server does not give by name but the mirror has.
        self.look_up(&self.mirror().map_err(|error| self.mirror_problem(&error))?, revision, "")
    }

    /// Asks a remote repository which branch its `HEAD` names; `HEAD` if it names none.
    fn remote_head(
        &self,
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<String, Problem> {
        let listed = self.list(&["--symref"], &["HEAD"], checked, cancel)?;
        let text = String::from_utf8_lossy(&listed.stdout);
        let named = text.lines().find_map(|line| {
            line.strip_prefix("ref: refs/heads/").and_then(|line| line.strip_suffix("\tHEAD"))
        });
        Ok(named.unwrap_or("HEAD").to_owned())
    }

    fn list(
        &self,
        options: &[&str],
        patterns: &[&str],
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<Answer, Problem> {
        let mut arguments: Vec<OsString> = vec!["ls-remote".into(), "--quiet".into()];
        arguments.extend(options.iter().map(OsString::from));
        arguments.extend(["--".into(), self.address.argument()]);
        arguments.extend(patterns.iter().map(OsString::from));
        let said = self.git(&arguments, checked, cancel)?;
        if said.status.success() { Ok(said) } else { Err(self.fetch_problem(&said)) }
    }

    fn fetch(
        &self,
        from: &str,
        to: &str,
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<Answer, Problem> {
        let options = [
            "fetch",
            "--quiet",
            "--force",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-show-forced-updates",
            "--update-shallow",
            "--",
        ];
        let mut arguments: Vec<OsString> = vec!["--git-dir".into(), self.mirror.clone().into()];
        arguments.extend(options.iter().map(OsString::from));
        arguments.extend([self.address.argument(), format!("+{from}:{to}").into()]);
        self.git(&arguments, checked, cancel)
    }

    fn git(
        &self,
        arguments: &[OsString],
        checked: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<Answer, Problem> {
        let run = || {
            if !*checked {
                self.program.check(cancel)?;
            }
            self.program.run(&self.mirror, arguments, cancel)
        };
        let answer = run().map_err(|stopped| match stopped {
            Stopped::Problem(problem) => problem,
            Stopped::Cancelled => Problem::Cancelled(self.shown()),
            Stopped::Timeout => {
                Problem::Timeout { repository: self.shown(), after: self.program.timeout }
            }
        })?;
        *checked = true;
        Ok(answer)
    }

    fn fetched(&self, name: &str) -> Result<Oid, Problem> {
        let mirror = self.mirror().map_err(|error| self.mirror_problem(&error))?;
        let id = mirror.find_reference(name).and_then(|reference| reference.peel_to_commit());
        id.map(|commit| commit.id()).map_err(|error| Problem::git(self.shown(), error))
    }

    fn fetch_problem(&self, said: &Answer) -> Problem {
        Problem::Fetch {
            repository: self.shown(),
            said: program::said(&said.stderr),
            hint: program::hint(&said.stderr),
        }
    }

    fn mirror_problem(&self, error: &SourceError) -> Problem {
        Problem::Fetch { repository: self.shown(), said: chain(error), hint: "" }
    }
}
