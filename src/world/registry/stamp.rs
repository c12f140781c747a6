//! Whether files of logins changed since they were last looked at (rule I170).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Owners, Registries, SecretFolder};

/// What the files of logins are at one moment; nothing of what stands in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginStamp(Vec<(PathBuf, Option<Stamp>)>);

/// What changes whenever a file is written, replaced, or may be read by somebody else.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    let (written, changed) =
        ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.len(), written, changed))
}

impl Registries {
    /// Looks at the files of logins and at those of Secrets, without reading them. May block.
    #[must_use]
    pub fn login_stamp(&self) -> LoginStamp {
        let config = &self.shared.config;
        let mut files = config.auth_files.clone();
        if let Some(folder) = &config.secrets {
            // One that cannot be read is seen by that it can again.
            files.extend(folder.files().unwrap_or_default());
            files.push(folder.path.clone());
        }
        let stamped = files.into_iter().map(|file| {
            let stamp = stamp(&file);
            (file, stamp)
        });
        LoginStamp(stamped.collect())
    }

    /// Looks for the namespaces that have logins of their own. May block.
    #[must_use]
    pub fn owners(&self) -> Owners {
        self.shared.secrets.as_deref().map(SecretFolder::owners).unwrap_or_default()
    }
}
