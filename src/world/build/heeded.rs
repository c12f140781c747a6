//! Variables that change what buildah does, or a program that it starts: a build argument of such a name does not come to
//! it by its environment.
//!
//! What does not stands on its command line, which everybody on the host reads. So these are names, and the beginnings of
//! those families alone that nobody calls a password by: `DOCKER_CONFIG` is one of them, and `DOCKER_PASSWORD` is not.

/// Families.
const STARTS: [&str; 15] = [
    "BASH_",
    "BUILDAH_",
    "CONTAINERS_",
    "DBUS_",
    "GIT_CONFIG",
    "GIT_PROXY",
    "GIT_SSH",
    "GIT_SSL",
    "GIT_TRACE",
    "LC_",
    "LD_",
    "LISTEN_",
    "MALLOC_",
    "XDG_",
    "_CONTAINERS",
];

/// Of programs that it starts, of the C library (`ld.so(8)`), of the runtime and the packages of Go, of the libraries that
/// it is made of.
const NAMES: [&str; 68] = [
    "ALL_PROXY",
    "CGROUP_MANAGER",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTENT_TRUST",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_TMPDIR",
    "ENV",
    "FTP_PROXY",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GIT_ALLOW_PROTOCOL",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ASKPASS",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PAGER",
    "GIT_TEMPLATE_DIR",
    "GIT_TERMINAL_PROMPT",
    "GIT_WORK_TREE",
    "GLIBC_TUNABLES",
    "GNUPGHOME",
    "GOCOVERDIR",
    "GODEBUG",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GORACE",
    "GOROOT",
    "GOTRACEBACK",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "LANG",
    "LANGUAGE",
    "LOCALDOMAIN",
    "LOCPATH",
    "LOGNAME",
    "NETAVARK_FW",
    "NIS_PATH",
    "NLSPATH",
    "NOTIFY_SOCKET",
    "OPENSSL_CONF",
    "PATH",
    "REGISTRIES_CONFIG_PATH",
    "REGISTRY_AUTH_FILE",
    "REQUEST_METHOD",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "SHELL",
    "SOURCE_DATE_EPOCH",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "TMPDIR",
    "TZDIR",
    "USER",
];

/// Whether an argument of this name is handed over on the command line.
pub(super) fn is_heeded(name: &str) -> bool {
    name.to_ascii_uppercase().ends_with("_PROXY")
        || NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_argument_that_buildah_heeds_is_not_put_into_its_environment() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "https_proxy",
            "CONTAINERS_CONF",
            "TMPDIR",
            "GODEBUG",
            "REGISTRY_AUTH_FILE",
            "SSL_CERT_FILE",
            "GIT_SSH_COMMAND",
        ] {
            assert!(is_heeded(name), "{name}");
        }
    }

    #[test]
    fn what_people_call_their_secrets_is_not_put_on_a_command_line() {
        for name in [
            "NPM_TOKEN",
            "VERSION",
            "GOOGLE_API_KEY",
            "GOPROXY",
            "DOCKER_PASSWORD",
            "REGISTRY_PASSWORD",
            "SSL_KEY_PASSWORD",
            "STORAGE_ACCOUNT_KEY",
            "GIT_TOKEN",
            "GITHUB_TOKEN",
            "LDAP_PASSWORD",
        ] {
            assert!(!is_heeded(name), "{name}");
        }
        assert!(NAMES.is_sorted() && STARTS.is_sorted());
    }
}
