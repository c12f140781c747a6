//! Real git servers on loopback, on free ports; each ends when its value is dropped.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `git-http-backend` behind a small HTTP server.
pub(crate) struct HttpServer {
    child: Child,
    port: u16,
}

impl HttpServer {
    /// Serves the bare repositories below `root`; with `login` (`user:password`) only to whom knows it.
    pub(crate) fn start(root: &Path, login: Option<&str>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/git-http.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(root).args(login);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tests of HTTP need python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    /// The URL of a repository; `login` is `user:password@` or empty.
    pub(crate) fn url(&self, login: &str, repository: &str) -> String {
        format!("http://{login}127.0.0.1:{}/{repository}", self.port)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// `sshd` that lets one key fetch, and the settings of a client that has it.
pub(crate) struct SshServer {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl SshServer {
    /// Starts it, or says why it cannot on this machine.
    pub(crate) fn start() -> Result<Self, String> {
        let sshd = Path::new("/usr/sbin/sshd");
        if !sshd.exists() {
            return Err("openssh-server is not installed".to_owned());
        }
        // sshd answers only as the user who starts it unless that is root, and root needs its folder.
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for key in ["host", "id", "other"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
            assert!(command.status().unwrap().success());
        }
        let id = std::fs::read_to_string(at("id.pub")).unwrap();
        let host = std::fs::read_to_string(at("host.pub")).unwrap();
        let forced = r#"restrict,command="exec git-shell -c \"$SSH_ORIGINAL_COMMAND\"""#;
        std::fs::write(at("authorized_keys"), format!("{forced} {id}")).unwrap();
        let port = free_port();
        let user =
            String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let settings = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\n\
             PermitRootLogin forced-commands-only\n",
            at("host"),
            at("authorized_keys")
        );
        std::fs::write(at("sshd_config"), settings).unwrap();
        std::fs::write(at("known_hosts"), format!("testgit {host}")).unwrap();
        for key in ["id", "other"] {
            let settings = format!(
                "Host testgit\nHostName 127.0.0.1\nPort {port}\nUser {}\nHostKeyAlias testgit\n\
                 IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\n\
                 GlobalKnownHostsFile /dev/null\n",
                user.trim(),
                at(key),
                at("known_hosts")
            );
            std::fs::write(at(&format!("{key}.conf")), settings).unwrap();
        }
        let mut command = Command::new(sshd);
        command.args(["-D", "-f", &at("sshd_config"), "-E", &at("log")]);
        let child = command.spawn().unwrap();
        let server = Self { child, port, folder };
        super::wait::eventually("sshd answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Ok(server)
    }

    /// The SSH command of a client whose key it knows.
    pub(crate) fn client(&self) -> String {
        format!("ssh -F {}", self.folder.path().join("id.conf").display())
    }

    /// The SSH command of a client whose key it does not know.
    pub(crate) fn stranger(&self) -> String {
        format!("ssh -F {}", self.folder.path().join("other.conf").display())
    }

    /// The URL of a repository, without the settings of a client.
    pub(crate) fn url(&self, repository: &Path) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, repository.display())
    }

    /// The private key that it knows.
    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("id")).unwrap()
    }

    /// Kind and text of its own public key.
    pub(crate) fn host_key(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        text.split(' ').take(2).map(str::to_owned).collect()
    }

    /// The client's list of known hosts.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn end(child: &mut Child) {
    // It may have ended by itself; either way it is reaped.
    drop(child.kill());
    drop(child.wait());
}
