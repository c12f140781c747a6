//! The sources of a build out of a git repository (rules B35, B38).
//!
//! A login stands in files that only the builder's user reads, never among the arguments of a program, and not in the
//! repository that is checked out either: that may become part of an image.
//!
//! A repository of this host is read where the manifest names it itself, and never because another one has it as a
//! submodule: whoever may push there is not whoever may read here.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::git::{FAR_PROTOCOLS, address_fault, protocols_of, redact, said};
use super::program::{Call, Ended, Tools, Trouble};
use crate::builds::{GitSource, Reason};
use crate::fact::SourceRevision;
use crate::limits::{
    BUILD_GIT_TIMEOUT, BUILD_GIT_TRIES, BUILD_GIT_TRY_PAUSE, BUILD_GIT_TRY_TIMEOUT,
};
use crate::pods::Contents;

/// Who a password alone belongs to, as in OpenShift.
const USER: &str = "builder";

/// Where a repository is reached, and with what.
struct Remote {
    /// Without a login.
    address: String,
    /// What is shown of it.
    shown: String,
    environment: Vec<(OsString, OsString)>,
}

/// What is checked out, and where.
pub(super) struct Wanted<'a> {
    pub(super) git: &'a GitSource,
    /// A commit, or what else git understands as one, in place of the manifest's reference.
    pub(super) commit: Option<&'a str>,
    /// `sourceSecret`.
    pub(super) secret: Option<&'a Contents>,
    /// The folder that is made.
    pub(super) folder: &'a Path,
    /// A folder that only this user reads.
    pub(super) private: &'a Path,
    /// Where keys of hosts are remembered that were seen first.
    pub(super) known_hosts: &'a Path,
}

impl Tools<'_> {
    /// Clones a repository and checks out what is wanted.
    pub(super) async fn check_out(
        &mut self,
        wanted: &Wanted<'_>,
    ) -> Result<SourceRevision, Trouble> {
        let remote = self.remote(wanted)?;
        let reference = wanted.commit.unwrap_or(&wanted.git.r#ref);
        if reference.starts_with('-') || reference.chars().any(char::is_control) {
            return Err(self.fetch_failed(&format!("`{reference:?}` names no commit")));
        }
        self.log.say(&format!("Cloning \"{}\" ...", remote.shown));
        self.reach(&remote).await?;
        let mut done = self.clone_to(wanted.folder, &remote, reference).await;
        if let Err(Trouble::Failed(_)) = &done {
            // A repository that moves under it may be whole a moment later.
            self.log.say("Trying again ...");
            drop(std::fs::remove_dir_all(wanted.folder));
            done = self.clone_to(wanted.folder, &remote, reference).await;
        }
        done?;
        let checkout = self.look_at(wanted.folder, &remote).await?;
        let SourceRevision { commit, author, date, message, .. } = &checkout;
        self.log.say(&format!("\tCommit:\t{commit} ({message})"));
        self.log.say(&format!("\tAuthor:\t{author}"));
        self.log.say(&format!("\tDate:\t{date}"));
        Ok(checkout)
    }

    fn fetch_failed(&self, why: &str) -> Trouble {
        self.log.say(&format!("error: {}", redact(why)));
        Trouble::Failed(Reason::FetchSourceFailed)
    }

    /// Looks whether the repository answers, a few times.
    async fn reach(&mut self, remote: &Remote) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let words = ["ls-remote", "--quiet", "--heads", "--", &remote.address];
            let call = Call {
                answers: true,
                patience: Some(BUILD_GIT_TRY_TIMEOUT),
                ..self.git_call(remote, &words)
            };
            let ended = self.run(call).await?;
            if ended.is_success() {
                return Ok(());
            }
            let why =
                if ended.timed_out { "it did not answer".to_owned() } else { said(&ended.err) };
            if tries == BUILD_GIT_TRIES || !may_pass(&ended) {
                return Err(self.fetch_failed(&format!("cannot reach {}: {why}", remote.shown)));
            }
            self.log.say(&format!("warning: {} is tried again: {}", remote.shown, redact(&why)));
            self.pause(BUILD_GIT_TRY_PAUSE).await?;
        }
    }

    async fn clone_to(
        &mut self,
        folder: &Path,
        remote: &Remote,
        reference: &str,
    ) -> Result<(), Trouble> {
        let to = folder.display().to_string();
        if reference.is_empty() {
            let words = ["clone", "--quiet", "--depth=1", "--", &remote.address, &to];
            self.git(remote, &words).await?;
            return self.submodules(remote, &to).await;
        }
        let words = ["clone", "--quiet", "--no-checkout", "--", &remote.address, &to];
        self.git(remote, &words).await?;
        let found =
            self.try_git(remote, &["-C", &to, "checkout", "--quiet", reference, "--"]).await?;
        if !found.is_success() {
            // What is no branch and no commit of one: the head of a pull request, or a commit that a server gives by name.
            let words = ["-C", &to, "fetch", "--quiet", "origin", reference];
            if !self.try_git(remote, &words).await?.is_success() {
                return Err(self.fetch_failed(&format!(
                    "{} has no commit, branch, tag or other reference `{reference}`",
                    remote.shown
                )));
            }
            self.git(remote, &["-C", &to, "checkout", "--quiet", "FETCH_HEAD", "--"]).await?;
        }
        self.submodules(remote, &to).await
    }

    /// Fetches what the repository names as its submodules, and what those do.
    async fn submodules(&mut self, remote: &Remote, folder: &str) -> Result<(), Trouble> {
        let words = ["-C", folder, "submodule", "--quiet", "update", "--init", "--recursive"];
        let mut environment = remote.environment.clone();
        environment.push(("GIT_ALLOW_PROTOCOL".into(), FAR_PROTOCOLS.join(":").into()));
        let call = Call { answers: true, environment, ..self.git_call(remote, &words) };
        let ended = self.run(call).await?;
        self.needed_success(ended).map(drop)
    }

    async fn look_at(&mut self, folder: &Path, remote: &Remote) -> Result<SourceRevision, Trouble> {
        let to = folder.display().to_string();
        let format = "--format=%H%x00%an%x00%ae%x00%cn <%ce>%x00%ad%x00%s";
        let words = ["-C", &to, "log", "-1", "--no-show-signature", format];
        let ended = self.run(Call { answers: true, ..self.git_call(remote, &words) }).await?;
        let parts: Vec<&str> = ended.out.trim_end().splitn(6, '\0').collect();
        let [commit, name, address, committer, date, message] = parts[..] else {
            return Err(self.fetch_failed(&format!(
                "git does not tell what it checked out: {}",
                said(&ended.err)
            )));
        };
        Ok(SourceRevision {
            commit: commit.to_owned(),
            author: SourceRevision::line(&format!("{name} <{address}>")),
            committer: SourceRevision::line(committer),
            date: SourceRevision::line(date),
            message: SourceRevision::line(message),
        })
    }

    /// Runs git, whose failure is that of the build.
    async fn git(&mut self, remote: &Remote, words: &[&str]) -> Result<Ended, Trouble> {
        let ended = self.try_git(remote, words).await?;
        self.needed_success(ended)
    }

    fn needed_success(&self, ended: Ended) -> Result<Ended, Trouble> {
        match ended.is_success() {
            true => Ok(ended),
            false => {
                let why = if ended.err.trim().is_empty() { ended.how() } else { said(&ended.err) };
                Err(self.fetch_failed(&why))
            }
        }
    }

    async fn try_git(&mut self, remote: &Remote, words: &[&str]) -> Result<Ended, Trouble> {
        let call = Call { answers: true, ..self.git_call(remote, words) };
        self.run(call).await
    }

    fn git_call<'c>(&self, remote: &Remote, words: &[&str]) -> Call<'c>
    where
        Self: 'c,
    {
        let options = [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "gc.auto=0",
            // They are fetched by themselves.
            "submodule.recurse=false",
        ];
        let options = options.iter().flat_map(|option| ["-c", option]).chain(words.iter().copied());
        Call {
            program: self.config.git.as_os_str(),
            arguments: options.map(OsString::from).collect(),
            environment: remote.environment.clone(),
            patience: Some(BUILD_GIT_TIMEOUT),
            ..Call::default()
        }
    }

    /// Puts what a login needs in its place.
    fn remote(&self, wanted: &Wanted<'_>) -> Result<Remote, Trouble> {
        if let Some(why) = address_fault(&wanted.git.uri) {
            return Err(self.fetch_failed(&why));
        }
        let mut environment = environment(wanted.git);
        let (address, mut login) = without_login(&wanted.git.uri);
        let text = |key: &str| {
            let value = wanted.secret?.get(key)?;
            std::str::from_utf8(value).ok().map(str::trim).filter(|text| !text.is_empty())
        };
        if let Some(password) = text("password").or_else(|| text("token")) {
            let user = text("username").unwrap_or(USER);
            login = Some((user.to_owned(), password.to_owned()));
        }
        let mut config = String::new();
        let mut write = |name: &str, bytes: &[u8]| private_file(&wanted.private.join(name), bytes);
        let mut put = || -> std::io::Result<()> {
            if let Some(own) = wanted.secret.and_then(|secret| secret.get(".gitconfig")) {
                let path = write("own.gitconfig", own)?;
                config.push_str(&format!("[include]\n\tpath = {}\n", quoted(&path)));
            }
            if let Some((user, password)) = &login {
                self.log.hide(password);
                let path =
                    write("login", format!("username={user}\npassword={password}\n").as_bytes())?;
                let host = host_of(&address);
                let helper =
                    format!("!f() {{ test \"$1\" = get && cat '{}'; }}; f", path.display());
                let helper = helper.replace('\\', "\\\\").replace('"', "\\\"");
                config.push_str(&format!(
                    "[credential \"{host}\"]\n\thelper =\n\thelper = \"{helper}\"\n"
                ));
            }
            if let Some(ca) = wanted.secret.and_then(|secret| secret.get("ca.crt")) {
                let path = write("ca.crt", ca)?;
                config.push_str(&format!("[http]\n\tsslCAInfo = {}\n", quoted(&path)));
            }
            if let Some(key) = wanted.secret.and_then(|secret| secret.get("ssh-privatekey")) {
                let command = self.ssh(wanted, key, &mut write)?;
                environment.push(("GIT_SSH_COMMAND".into(), command.into()));
            }
            if !config.is_empty() {
                let path = write(".gitconfig", config.as_bytes())?;
                environment.push(("GIT_CONFIG_GLOBAL".into(), path.into()));
                environment.push(("HOME".into(), wanted.private.into()));
                environment.push(("XDG_CONFIG_HOME".into(), wanted.private.into()));
            }
            Ok(())
        };
        put().map_err(|error| {
            Trouble::Passing(format!("cannot put the login to the source in its place: {error}"))
        })?;
        Ok(Remote { shown: redact(&address), address, environment })
    }

    /// The SSH command with a key. A host is known by the `known_hosts` of the secret alone; where that has none, its key
    /// is taken the first time, and must stay the same.
    fn ssh(
        &self,
        wanted: &Wanted<'_>,
        key: &[u8],
        write: &mut impl FnMut(&str, &[u8]) -> std::io::Result<PathBuf>,
    ) -> std::io::Result<String> {
        self.log.hide(&String::from_utf8_lossy(key));
        let mut key = key.to_vec();
        if !key.ends_with(b"\n") {
            key.push(b'\n'); // without it ssh does not read the key
        }
        let key = write("id", &key)?;
        let known = wanted.secret.and_then(|secret| secret.get("known_hosts"));
        let (policy, known) = match known {
            Some(known) => ("yes", write("known_hosts", known)?),
            None => ("accept-new", wanted.known_hosts.to_owned()),
        };
        let (key, known) = (key.display(), known.display());
        Ok(format!(
            "ssh -i '{key}' -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
             -o StrictHostKeyChecking={policy} -o 'UserKnownHostsFile=\"{known}\"' -o HashKnownHosts=no -o GlobalKnownHostsFile=/dev/null"
        ))
    }
}

/// What every git of a build gets beside the environment of all.
fn environment(git: &GitSource) -> Vec<(OsString, OsString)> {
    let protocols = protocols_of(&git.uri).join(":");
    let fixed = [
        ("LC_ALL", "C.UTF-8"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // An empty program is no program: git then fails instead of asking.
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS", "false"),
        ("SSH_ASKPASS_REQUIRE", "force"),
        ("GIT_ALLOW_PROTOCOL", &protocols),
    ];
    let proxies = [
        ("http_proxy", &git.http_proxy),
        ("https_proxy", &git.https_proxy),
        ("HTTPS_PROXY", &git.https_proxy),
        ("no_proxy", &git.no_proxy),
        ("NO_PROXY", &git.no_proxy),
    ];
    let proxies = proxies.iter().filter(|(_, value)| !value.is_empty());
    let proxies = proxies.map(|(name, value)| (*name, value.as_str()));
    fixed.into_iter().chain(proxies).map(|(name, value)| (name.into(), value.into())).collect()
}

/// An address without user and password where it is one of HTTP, and those two.
fn without_login(address: &str) -> (String, Option<(String, String)>) {
    let Ok(mut url) = url::Url::parse(address) else { return (address.to_owned(), None) };
    let has_login = !url.username().is_empty() || url.password().is_some();
    if !["http", "https"].contains(&url.scheme()) || !has_login {
        return (address.to_owned(), None);
    }
    let decoded = |text: &str| {
        let pair = format!("a={}", text.replace('+', "%2B"));
        let value = url::form_urlencoded::parse(pair.as_bytes()).next();
        value.map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let login = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    // It can be set: the address is one of HTTP.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    match cleared {
        Ok(()) => (url.to_string(), Some(login)),
        Err(()) => (address.to_owned(), None),
    }
}

/// What a login is for: the server, and no other one that a submodule names.
fn host_of(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(url) if url.has_host() => {
            let mut host = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
            if let Some(port) = url.port() {
                let _ = write!(host, ":{port}"); // a string takes all
            }
            host
        }
        Ok(_) | Err(_) => address.to_owned(),
    }
}

/// Writes a file that only this user reads.
pub(super) fn private_file(path: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(path.to_owned())
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether it may answer the next time.
fn may_pass(ended: &Ended) -> bool {
    const FOR_GOOD: [&str; 9] = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "not found",
        "does not exist",
        "does not appear to be a git repository",
        "Permission denied",
        "Host key verification failed",
        "returned error: 403",
    ];
    ended.timed_out || !FOR_GOOD.iter().any(|sign| ended.err.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b038_a_login_leaves_the_address_and_is_for_its_server_alone() {
        let (address, login) = without_login("https://me:p%40ss+1@git.example.com:8443/a.git");
        assert_eq!(address, "https://git.example.com:8443/a.git");
        assert_eq!(login, Some(("me".to_owned(), "p@ss+1".to_owned())));
        assert_eq!(host_of(&address), "https://git.example.com:8443");
        for bare in ["https://h/a", "ssh://git@h/a", "git@h:a", "/srv/a.git", "file:///srv/a"] {
            assert_eq!(without_login(bare), (bare.to_owned(), None));
        }
    }
}
