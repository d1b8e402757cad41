//! Files in memory, for tests: knows what a loss of power would leave.

use std::collections::BTreeMap;
use std::io;

use millrace_engine::seams::Disk;
use parking_lot::Mutex;

/// A disk in memory.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, File>>,
}

#[derive(Debug, Default, Clone)]
struct File {
    bytes: Vec<u8>,
    durable: usize,
}

impl MemoryDisk {
    /// The disk as it would be after a loss of power: only what was made durable.
    pub fn after_power_loss(&self) -> MemoryDisk {
        let cut = |(path, file): (&String, &File)| {
            let bytes = file.bytes[..file.durable].to_vec();
            (file.durable > 0).then(|| (path.clone(), File { bytes, durable: file.durable }))
        };
        let files = self.files.lock().iter().filter_map(cut).collect();
        MemoryDisk { files: Mutex::new(files) }
    }

    /// The disk as it is now, independent of this one.
    pub fn copy(&self) -> MemoryDisk {
        MemoryDisk { files: Mutex::new(self.files.lock().clone()) }
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().get(path).map(|file| file.bytes.clone()))
    }

    fn len(&self, path: &str) -> io::Result<Option<u64>> {
        Ok(self.files.lock().get(path).map(|file| file.bytes.len() as u64))
    }

    fn read_at(&self, path: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.files.lock();
        let missing = || io::Error::new(io::ErrorKind::NotFound, path.to_owned());
        let bytes = &files.get(path).ok_or_else(missing)?.bytes;
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<u64> {
        let mut files = self.files.lock();
        let file = files.entry(path.to_owned()).or_default();
        let before = file.bytes.len() as u64;
        file.bytes.extend_from_slice(bytes);
        Ok(before)
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = File { bytes: bytes.to_vec(), durable: bytes.len() };
        self.files.lock().insert(path.to_owned(), file);
        Ok(())
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        if let Some(file) = self.files.lock().get_mut(path) {
            file.durable = file.bytes.len();
        }
        Ok(())
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        if let Some(file) = self.files.lock().get_mut(path) {
            file.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            file.durable = file.durable.min(file.bytes.len());
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let folder = format!("{path}/");
        self.files.lock().retain(|other, _| other != path && !other.starts_with(&folder));
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = format!("{path}/");
        let files = self.files.lock();
        let below = files.keys().filter_map(|file| file.strip_prefix(&folder));
        let mut names: Vec<_> =
            below.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()).collect();
        names.dedup();
        Ok(names)
    }
}
