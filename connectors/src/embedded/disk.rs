//! Files below a folder that one process owns.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use millrace_engine::seams::Disk;
use parking_lot::Mutex;

/// Held while the folder is in use.
const LOCK_FILE: &str = "LOCK";
/// Files kept open.
const OPEN_FILES_MAX: usize = 64;

/// A folder of files, locked against other processes as long as this value lives.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    open: Mutex<HashMap<String, Arc<Mutex<Opened>>>>,
    readers: Mutex<HashMap<String, Arc<File>>>,
    _lock: File,
}

#[derive(Debug)]
struct Opened {
    file: File,
    len: u64,
    /// The folder's entry is not durable yet.
    fresh: bool,
}

impl FileDisk {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub fn open(root: &Path) -> io::Result<Self> {
        let context = |what: &str, error: io::Error| {
            let kind = error.kind();
            io::Error::new(kind, format!("cannot {what} {}: {error}", root.display()))
        };
        fs::create_dir_all(root).map_err(|error| context("make the state directory", error))?;
        let lock = OpenOptions::new().create(true).append(true).open(root.join(LOCK_FILE));
        let lock = lock.map_err(|error| context("open the lock file in", error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "the state directory {} is in use by another process: stop it, or choose \
                     another directory",
                    root.display()
                ),
            ),
            TryLockError::Error(error) => context("lock the state directory", error),
        })?;
        let (open, readers) = Default::default();
        Ok(FileDisk { root: root.to_owned(), open, readers, _lock: lock })
    }

    fn full(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        if relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(self.root.join(relative));
        }
        Err(io::Error::other(format!("{path:?} does not lie below the state directory")))
    }

    fn opened(&self, path: &str) -> io::Result<Arc<Mutex<Opened>>> {
        let mut open = self.open.lock();
        if let Some(file) = open.get(path) {
            return Ok(file.clone());
        }
        let full = self.full(path)?;
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(full)?;
        let len = file.metadata()?.len();
        let file = Arc::new(Mutex::new(Opened { file, len, fresh: true }));
        if open.len() >= OPEN_FILES_MAX {
            open.clear();
        }
        open.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn reader(&self, path: &str) -> io::Result<Arc<File>> {
        if let Some(file) = self.readers.lock().get(path) {
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(self.full(path)?)?);
        let mut readers = self.readers.lock();
        if readers.len() >= OPEN_FILES_MAX {
            readers.clear();
        }
        readers.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    /// Files that were replaced or removed must not be used any more.
    fn forget(&self, path: &str) {
        let below = |other: &str| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.open.lock().retain(|other, _| !below(other));
        self.readers.lock().retain(|other, _| !below(other));
    }

    fn sync_folder(&self, of: &Path) -> io::Result<()> {
        let mut folder = of.parent();
        // A folder made on the way is an entry of its parent.
        while let Some(path) = folder.filter(|path| path.starts_with(&self.root)) {
            File::open(path)?.sync_all()?;
            folder = path.parent();
        }
        Ok(())
    }
}

impl Disk for FileDisk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        none_if_missing(fs::read(self.full(path)?))
    }

    fn len(&self, path: &str) -> io::Result<Option<u64>> {
        Ok(none_if_missing(fs::metadata(self.full(path)?))?.map(|data| data.len()))
    }

    fn read_at(&self, path: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.reader(path)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<u64> {
        let opened = self.opened(path)?;
        let mut opened = opened.lock();
        let before = opened.len;
        if let Err(error) = opened.file.write_all(bytes) {
            // Half of it may be there.
            opened.file.set_len(before)?;
            return Err(error);
        }
        opened.len += bytes.len() as u64;
        Ok(before)
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let full = self.full(path)?;
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = full.as_os_str().to_owned();
        name.push(".new");
        let fresh = PathBuf::from(name);
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &full)?;
        self.forget(path);
        self.sync_folder(&full)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let opened = self.opened(path)?;
        // Appends go on meanwhile: what they add may or may not become durable.
        let (file, fresh) = {
            let mut opened = opened.lock();
            (opened.file.try_clone()?, std::mem::take(&mut opened.fresh))
        };
        file.sync_data()?;
        if fresh { self.sync_folder(&self.full(path)?) } else { Ok(()) }
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        let opened = self.opened(path)?;
        let mut opened = opened.lock();
        if opened.len > len {
            opened.file.set_len(len)?;
            opened.len = len;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.forget(path);
        let full = self.full(path)?;
        let removed = match full.is_dir() {
            true => fs::remove_dir_all(full),
            false => fs::remove_file(full),
        };
        none_if_missing(removed).map(|_| ())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let Some(entries) = none_if_missing(fs::read_dir(self.full(path)?))? else {
            return Ok(Vec::new());
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
