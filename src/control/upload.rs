//! What operators hand over for a build: it comes through the control socket, and goes into the object store.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Semaphore;

use crate::action::BuildOrder;
use crate::journal::{Holding, ObjectStore};
use crate::limits::{STATE_FREE_BYTES_MIN, UPLOAD_BYTES_MAX, UPLOAD_TIMEOUT, UPLOADS_AT_ONCE_MAX};
use crate::names::ContentHash;

/// Bytes that are taken at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Where uploads are taken. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    folder: Arc<Path>,
    store: ObjectStore,
    places: Arc<Semaphore>,
}

impl Uploads {
    /// Uploads into the store of a state directory. What a process that ended left of them goes.
    ///
    /// # Errors
    /// When their folder cannot be emptied or made.
    pub fn new(state_dir: &Path, store: ObjectStore) -> anyhow::Result<Self> {
        let folder = state_dir.join("builds/uploads");
        let wrong = || format!("cannot make the folder of uploads `{}`", folder.display());
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(wrong);
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&folder).with_context(wrong)?;
        let places = Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX));
        Ok(Self { folder: folder.into(), store, places })
    }

    /// Takes as many bytes as were announced; what is returned keeps them from being collected. Of those of a client that
    /// goes away nothing stays.
    ///
    /// # Errors
    /// When the client goes away. The inner error says why its bytes are not taken.
    pub(super) async fn take(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        bytes: u64,
    ) -> io::Result<Result<Holding, String>> {
        if bytes > UPLOAD_BYTES_MAX {
            return Ok(Err(format!("{bytes} bytes are too many, {UPLOAD_BYTES_MAX} are taken")));
        }
        let Ok(_place) = self.places.try_acquire() else {
            let why = "other uploads are under way; try again when they are done";
            return Ok(Err(why.to_owned()));
        };
        match self.free() {
            Ok(free) if free < bytes + STATE_FREE_BYTES_MIN => {
                return Ok(Err(format!(
                    "the disk of the state directory has {free} bytes left, too few for {bytes}"
                )));
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(format!("cannot tell what is free: {error}"))),
        }
        let taken = tokio::time::timeout(UPLOAD_TIMEOUT, self.receive(from, bytes)).await;
        let Ok(received) = taken else {
            return Ok(Err(format!("it took longer than {} s", UPLOAD_TIMEOUT.as_secs())));
        };
        match received? {
            Ok((file, hash)) => Ok(self.keep(&file, hash)),
            Err(error) => Ok(Err(format!("it cannot be kept: {error}"))),
        }
    }

    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&*self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Receives bytes into a file that goes when it is dropped, and that is durable.
    async fn receive(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        bytes: u64,
    ) -> io::Result<io::Result<(tempfile::TempPath, ContentHash)>> {
        let mut file = match tempfile::NamedTempFile::new_in(&*self.folder) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = bytes;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let room = piece.get_mut(..room).unwrap_or_default();
            let read = tokio::time::timeout(super::REQUEST_TIMEOUT, from.read(room)).await??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let read = piece.get(..read).unwrap_or_default();
            hash.update(read);
            if let Err(error) = tokio::task::block_in_place(|| file.write_all(read)) {
                return Ok(Err(error));
            }
            left -= read.len() as u64;
        }
        let synced = tokio::task::block_in_place(|| file.as_file().sync_all());
        let hash = ContentHash::of_digest(hash.finish().as_ref());
        let hash = hash.ok_or_else(|| io::Error::other("the hash has another length"));
        Ok(synced.and(hash).map(|hash| (file.into_temp_path(), hash)))
    }

    fn keep(&self, file: &Path, hash: ContentHash) -> Result<Holding, String> {
        let holding = self.store.hold(hash);
        let taken = tokio::task::block_in_place(|| self.store.take_over(file, &hash));
        taken.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        Ok(holding)
    }

    /// Holds what a build is to be made of, until it is recorded.
    ///
    /// # Errors
    /// When that is not there.
    pub(super) fn hold_input(&self, order: &BuildOrder) -> Result<Option<Holding>, String> {
        let Some(binary) = &order.options.binary else { return Ok(None) };
        let holding = self.store.hold(binary.content);
        match self.store.contains(&binary.content) {
            Ok(true) => Ok(Some(holding)),
            Ok(false) => Err(format!("{} was not uploaded, or is not kept", binary.content)),
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}
