//! RocksDB under a lane's state: one database a lane, a column family per key shape, one cache and
//! one write-buffer budget for the whole process. WAL off and atomic flush on: after a crash the
//! column families stand at one earlier batch together, and the changelog tail is replayed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, Env, FlushOptions,
    Options, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
};

use crate::error::{EngineError, Result};
use crate::state::Shape;
use crate::state::disk::{DISK_FORMAT, DiskBatch, DiskMeta, DiskStore, write_full_key};

const META_KEY: &[u8] = b"meta";
const SHAPES: [Shape; 3] = [Shape::KeyValue, Shape::WindowFirst, Shape::KeyFirst];
/// Files that RocksDB keeps open per lane.
const OPEN_FILES_MAX: i32 = 256;
const BACKGROUND_JOBS_MAX: i32 = 2;

/// What all databases of the process share.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    write_buffers: WriteBufferManager,
    env: Arc<Env>,
}

impl RocksShared {
    /// `cache_bytes` bounds the block cache, `write_buffer_bytes` the memtables of all lanes.
    ///
    /// # Errors
    /// When RocksDB cannot make its environment.
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Result<Self> {
        let cache = Cache::new_lru_cache(cache_bytes);
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            write_buffer_bytes,
            false,
            cache.clone(),
        );
        let env = Arc::new(Env::new().map_err(state_error)?);
        Ok(RocksShared { cache, write_buffers, env })
    }
}

/// The database of one lane.
pub struct RocksStore {
    path: PathBuf,
    shared: RocksShared,
    /// `None` after it could not be opened again.
    db: Option<DB>,
}

impl RocksStore {
    /// Opens the database at `path`. One that cannot be read, or of another format, is moved aside
    /// to `<path>.corrupt-<n>` and an empty one made: the changelogs hold everything.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process holds the lock.
    pub fn open(path: &Path, shared: &RocksShared) -> Result<Self> {
        let mut store = RocksStore { path: path.to_owned(), shared: shared.clone(), db: None };
        store.open_or_rebuild()?;
        Ok(store)
    }

    fn open_or_rebuild(&mut self) -> Result<()> {
        match self.try_open() {
            Ok(()) if self.usable() => Ok(()),
            Ok(()) => self.rebuild("written by another version, or damaged"),
            Err(error) if is_lock_error(&error) => Err(EngineError::Config(format!(
                "state directory {} is in use by another process: {error}; stop that process, or \
                 give this one another --state-dir",
                self.path.display()
            ))),
            Err(error) if is_refusal(&error) => Err(state_error(error)),
            Err(error) => self.rebuild(error.as_ref()),
        }
    }

    fn try_open(&mut self) -> Result<(), rocksdb::Error> {
        let options = options(&self.shared);
        let families =
            SHAPES.map(|shape| ColumnFamilyDescriptor::new(family(shape), options.clone()));
        self.db = Some(DB::open_cf_descriptors(&options, &self.path, families)?);
        Ok(())
    }

    fn usable(&self) -> bool {
        matches!(self.meta(), Ok(meta) if meta.format == DISK_FORMAT || meta == DiskMeta::default())
    }

    fn rebuild(&mut self, why: &str) -> Result<()> {
        self.db = None;
        let aside = move_aside(&self.path)?;
        tracing::warn!(
            path = %self.path.display(), aside = %aside.display(), why,
            "state cannot be used: moved aside, restoring from the changelogs"
        );
        self.try_open().map_err(state_error)
    }

    fn db(&self) -> Result<&DB> {
        let closed = || EngineError::Disk(format!("{} is not open", self.path.display()));
        self.db.as_ref().ok_or_else(closed)
    }

    fn cf(&self, shape: Shape) -> Result<Arc<rocksdb::BoundColumnFamily<'_>>> {
        let name = family(shape);
        self.db()?
            .cf_handle(name)
            .ok_or_else(|| EngineError::Bug(format!("no column family {name}")))
    }
}

impl DiskStore for RocksStore {
    fn get(&self, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db()?.get_cf(&self.cf(shape)?, key).map_err(state_error)
    }

    fn get_many(&self, shape: Shape, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let cf = self.cf(shape)?;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]));
        let sorted: Vec<&Vec<u8>> = order.iter().map(|i| &keys[*i]).collect();
        let mut values = vec![None; keys.len()];
        let found = self.db()?.batched_multi_get_cf(&cf, sorted, true);
        for (i, value) in order.into_iter().zip(found) {
            values[i] = value.map_err(state_error)?.map(|slice| slice.to_vec());
        }
        Ok(values)
    }

    fn scan(
        &self,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.to_vec());
        let mut iterator = self.db()?.raw_iterator_cf_opt(&self.cf(shape)?, options);
        iterator.seek(from);
        while let (Some(key), Some(value)) = (iterator.key(), iterator.value()) {
            if !visit(key, value) {
                return Ok(());
            }
            iterator.next();
        }
        iterator.status().map_err(state_error)
    }

    fn write(&mut self, batch: DiskBatch<'_>) -> Result<()> {
        let mut write = WriteBatch::with_capacity_bytes(batch.bytes);
        for (shape, from, to) in &batch.deletes {
            write.delete_range_cf(&self.cf(*shape)?, from, to);
        }
        let (mut key, mut family) = (Vec::new(), None);
        for change in batch.changes {
            let (shape, cf) = match family.take() {
                Some((shape, cf)) if shape == change.shape => (shape, cf),
                _ => (change.shape, self.cf(change.shape)?),
            };
            write_full_key(change.store, change.key, &mut key);
            match change.value {
                Some(value) => write.put_cf(&cf, &key, value),
                None => write.delete_cf(&cf, &key),
            }
            family = Some((shape, cf));
        }
        let meta = serde_json::to_vec(batch.meta)
            .map_err(|e| EngineError::Bug(format!("cannot write the store's meta: {e}")))?;
        write.put(META_KEY, meta);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db()?.write_opt(write, &options).map_err(state_error)
    }

    fn meta(&self) -> Result<DiskMeta> {
        let Some(bytes) = self.db()?.get(META_KEY).map_err(state_error)? else {
            return Ok(DiskMeta::default());
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| EngineError::State(format!("the store's meta does not parse: {e}")))
    }

    fn flush(&mut self) -> Result<()> {
        let mut families = Vec::with_capacity(SHAPES.len() + 1);
        for shape in SHAPES {
            families.push(self.cf(shape)?);
        }
        let default = self.db()?.cf_handle("default");
        families.extend(default);
        let families: Vec<_> = families.iter().collect();
        self.db()?.flush_cfs_opt(&families, &FlushOptions::default()).map_err(state_error)
    }

    fn reopen(&mut self, aside: bool) -> Result<()> {
        self.db = None;
        match aside {
            true => self.rebuild("damaged"),
            false => self.open_or_rebuild(),
        }
    }
}

fn options(shared: &RocksShared) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_write_buffer_manager(&shared.write_buffers);
    options.set_env(&shared.env);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&table);
    options.set_keep_log_file_num(2);
    options
}

fn family(shape: Shape) -> &'static str {
    match shape {
        Shape::KeyValue => "key-value",
        Shape::WindowFirst => "window-first",
        Shape::KeyFirst => "key-first",
    }
}

/// Damaged state that is kept for people to look at; older ones are deleted.
const ASIDE_MAX: usize = 2;

/// Renames the directory to the first free `<path>.corrupt-<n>`.
fn move_aside(path: &Path) -> Result<PathBuf> {
    let failed = |e: std::io::Error| {
        EngineError::Disk(format!("cannot move the state directory {} aside: {e}", path.display()))
    };
    let numbered = |n: usize| path.with_extension(format!("corrupt-{n}"));
    let last = (1..).take_while(|n| numbered(*n).exists()).last().unwrap_or(0);
    if last >= ASIDE_MAX {
        // The newest keep their order.
        std::fs::remove_dir_all(numbered(1)).map_err(failed)?;
        for n in 2..=last {
            std::fs::rename(numbered(n), numbered(n - 1)).map_err(failed)?;
        }
    }
    let aside = numbered(last.min(ASIDE_MAX - 1) + 1);
    match std::fs::rename(path, &aside) {
        // Nothing was there: as good as moved.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(aside),
        moved => moved.map(|()| aside).map_err(failed),
    }
}

/// The disk refuses; what it holds may be as good as ever.
fn is_refusal(error: &rocksdb::Error) -> bool {
    let said = error.as_ref();
    error.kind() == rocksdb::ErrorKind::IOError
        && ["No space left", "Permission denied", "Read-only file system", "Too many open files"]
            .iter()
            .any(|refusal| said.contains(refusal))
}

fn is_lock_error(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::IOError && error.as_ref().contains("lock")
}

fn state_error(error: rocksdb::Error) -> EngineError {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => EngineError::State(error.into_string()),
        _ => EngineError::Disk(error.into_string()),
    }
}
