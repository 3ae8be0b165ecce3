//! What happens to log files.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::books::{Books, Wrote};
use super::random::Random;

/// `<root>/<namespace>_<pod>_<uid>/<container>/<restarts>.log` for every container, as kubelet and containerd keep them.
pub struct Writer {
    root: PathBuf,
    run: u64,
    books: Arc<Mutex<Books>>,
    random: Random,
    pool: Vec<u8>,
    logs: Vec<Log>,
    /// The time of the next line, when it is not now; each line moves it.
    pub clock: Option<(i128, i128)>,
    /// Payloads, bytes: from and to (exclusive).
    pub sizes: (usize, usize),
    /// One of how many lines comes in parts; 0: none.
    pub parts: usize,
    /// Lines behind lines that were finished lately.
    finished: usize,
}

struct Log {
    number: usize,
    pod: PathBuf,
    dir: PathBuf,
    restarts: usize,
    file: Option<File>,
    generations: Vec<PathBuf>,
    rotations: usize,
    last: i128,
    /// A line whose end is not written: its number and what is missing.
    open: Option<(usize, Vec<u8>)>,
    /// Bytes of a line of which the beginning is written.
    torn: Vec<u8>,
    /// Bytes that are not written yet.
    buffer: Vec<u8>,
}

impl Writer {
    /// Below `root`. The same seed writes the same.
    #[must_use]
    pub fn new(root: &Path, seed: u64, books: Arc<Mutex<Books>>) -> Self {
        let mut random = Random::new(seed);
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 {}\":,/";
        let pool = (0..1 << 20)
            .map(|_| letters[random.within(0, letters.len())])
            .collect();
        Self {
            root: root.to_owned(),
            run: seed,
            books,
            random,
            pool,
            logs: Vec::new(),
            clock: None,
            finished: 0,
            sizes: (20, 400),
            parts: 20,
        }
    }

    /// How many logs there are.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// A new pod `web-<n>` of the namespace `shop`, with the container `app`.
    pub fn pod(&mut self) -> usize {
        let name = format!("web-{}", self.logs.len());
        self.named("shop", &name, "app")
    }

    /// A new container.
    pub fn named(&mut self, namespace: &str, pod: &str, container: &str) -> usize {
        let uid = format!("0f3c6cb2-5d2c-4a9e-9d6c-{:012}", self.logs.len());
        let labels =
            format!("{{container=\"{container}\", namespace=\"{namespace}\", pod=\"{pod}\"}}");
        let number = self.books.lock().open(labels, uid.clone());
        assert_eq!(number, self.logs.len(), "one writer for each set of books");
        let pod = self.root.join(format!("{namespace}_{pod}_{uid}"));
        let dir = pod.join(container);
        std::fs::create_dir_all(&dir).unwrap();
        let file = create(&dir.join("0.log"));
        self.logs.push(Log {
            number,
            pod,
            dir,
            restarts: 0,
            file: Some(file),
            generations: Vec::new(),
            rotations: 0,
            last: 0,
            open: None,
            torn: Vec::new(),
            buffer: Vec::new(),
        });
        number
    }

    /// The file that is written now.
    #[must_use]
    pub fn path(&self, log: usize) -> PathBuf {
        self.logs[log].path()
    }

    /// Rotated generations, oldest first.
    #[must_use]
    pub fn generations(&self, log: usize) -> &[PathBuf] {
        &self.logs[log].generations
    }

    /// Lines. They reach the file in pieces that end anywhere.
    pub fn write(&mut self, log: usize, lines: usize) {
        for _ in 0..lines {
            self.line(log);
            if self.logs[log].buffer.len() > self.random.within(1, 64 << 10) {
                let cut = self.random.within(0, self.logs[log].buffer.len());
                self.logs[log].flush_to(cut);
            }
        }
        self.logs[log].flush();
    }

    /// One line of this payload; what is not UTF-8 in it has to arrive as U+FFFD.
    pub fn payload(&mut self, log: usize, payload: &[u8]) {
        self.put(log, payload, false, 0);
        self.logs[log].flush();
    }

    fn line(&mut self, log: usize) {
        let len = self.random.within(self.sizes.0, self.sizes.1);
        let err = self.random.once_in(5) && self.logs[log].open.is_none();
        let parts = if self.parts > 0 && self.random.once_in(self.parts) {
            self.random.within(2, 5)
        } else {
            0
        };
        let payload = self.sample(len);
        self.put(log, &payload, err, parts);
    }

    fn sample(&mut self, len: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(len);
        while payload.len() < len {
            let from = self.random.within(0, self.pool.len() / 2);
            let to = (from + len - payload.len()).min(self.pool.len());
            payload.extend_from_slice(&self.pool[from..to]);
        }
        payload
    }

    /// A line in so many parts (0 and 1: whole).
    fn put(&mut self, log: usize, payload: &[u8], err: bool, parts: usize) {
        let text = self.text(log, payload, err);
        let err_while_open = self.logs[log].open.is_some();
        // While a line of stdout has no end, others go to stderr.
        let stream = if err || err_while_open {
            "stderr"
        } else {
            "stdout"
        };
        if err_while_open && !err {
            let mut books = self.books.lock();
            let seq = books.next(log) - 1;
            books.went_to_stderr(log, seq);
        }
        let each = if parts > 1 {
            text.len().div_ceil(parts)
        } else {
            text.len()
        };
        let mut pieces = text.chunks(each.max(1)).peekable();
        while let Some(piece) = pieces.next() {
            let tag = if pieces.peek().is_some() { "P" } else { "F" };
            let time = self.time(log);
            let log = &mut self.logs[log];
            log.cri(time, stream, tag, piece);
            if tag == "F" {
                let mut books = self.books.lock();
                let seq = books.next(log.number) - 1;
                books.wrote_at(log.number, seq, time);
            }
        }
    }

    /// Takes the line into the books. Its time is that of its last part.
    fn text(&mut self, log: usize, payload: &[u8], err: bool) -> Vec<u8> {
        let arrives = String::from_utf8_lossy(payload);
        let mut books = self.books.lock();
        let seq = books.wrote(
            log,
            Wrote {
                len: arrives.len(),
                crc: crc32c::crc32c(arrives.as_bytes()),
                time: 0,
                err,
            },
        );
        let mut text = format!(
            "run={} file={log} seq={seq} len={} crc={:08x} ",
            self.run,
            payload.len(),
            crc32c::crc32c(payload)
        )
        .into_bytes();
        text.extend_from_slice(payload);
        text
    }

    fn time(&mut self, log: usize) -> i128 {
        let now = match &mut self.clock {
            Some((at, step)) => {
                *at += *step;
                *at
            }
            None => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                i128::try_from(since.unwrap().as_nanos()).unwrap()
            }
        };
        let last = &mut self.logs[log].last;
        *last = now.max(*last + 1);
        *last
    }

    /// The first parts of a line of stdout.
    pub fn begin(&mut self, log: usize) {
        assert!(self.logs[log].open.is_none(), "one at a time");
        let payload = self.sample(300);
        let text = self.text(log, &payload, false);
        let seq = self.books.lock().next(log) - 1;
        let (head, rest) = text.split_at(150);
        for piece in head.chunks(75) {
            let time = self.time(log);
            self.logs[log].cri(time, "stdout", "P", piece);
        }
        self.logs[log].open = Some((seq, rest.to_vec()));
        self.logs[log].flush();
    }

    /// Its end.
    pub fn end(&mut self, log: usize) {
        self.finished += self.behind(log);
        let (seq, rest) = self.logs[log].open.take().expect("begin comes first");
        let time = self.time(log);
        self.logs[log].cri(time, "stdout", "F", &rest);
        self.books.lock().wrote_at(log, seq, time);
        self.logs[log].flush();
    }

    /// Lines of stderr after the beginning of a line of stdout whose end may not have been read: those that are not finished,
    /// and those finished since [`Writer::all_read`]. A file has one position, which is where that line begins: an
    /// agent that starts again reads on from there.
    #[must_use]
    pub fn behind_unfinished(&self) -> usize {
        self.finished
            + (0..self.logs.len())
                .map(|log| self.behind(log))
                .sum::<usize>()
    }

    /// Everything that was written has been read.
    pub fn all_read(&mut self) {
        self.finished = 0;
    }

    fn behind(&self, log: usize) -> usize {
        let open = self.logs[log].open.as_ref();
        open.map_or(0, |(seq, _)| self.books.lock().next(log) - seq - 1)
    }

    /// The beginning of a line's bytes, without its newline.
    pub fn tear(&mut self, log: usize) {
        self.line(log);
        let log = &mut self.logs[log];
        let cut = self.random.within(1, log.buffer.len());
        log.torn = log.buffer.split_off(cut);
        log.flush();
    }

    /// The rest of them.
    pub fn mend(&mut self, log: usize) {
        let log = &mut self.logs[log];
        let rest = std::mem::take(&mut log.torn);
        log.buffer.extend(rest);
        log.flush();
    }

    /// Renamed, and begun anew.
    pub fn rotate(&mut self, log: usize) {
        let log = &mut self.logs[log];
        // kubelet names them by the second; a counter in place of the clock keeps the order at any speed.
        let at = log.rotations;
        let (hours, minutes, seconds) = (at / 3600 % 24, at / 60 % 60, at % 60);
        let name = format!(
            "{}.log.20260101-{hours:02}{minutes:02}{seconds:02}",
            log.restarts
        );
        log.rotations += 1;
        let rotated = log.dir.join(name);
        std::fs::rename(log.path(), &rotated).unwrap();
        log.generations.push(rotated);
        log.file = Some(create(&log.path()));
    }

    /// All generations but the newest are compressed, as kubelet does when it rotates.
    pub fn gzip(&mut self, log: usize) {
        let generations = &mut self.logs[log].generations;
        let older = generations.len().saturating_sub(1);
        for path in &mut generations[..older] {
            compress(path, 1);
        }
    }

    /// All of them are compressed, into files of two members.
    pub fn gzip_all(&mut self, log: usize) {
        for path in &mut self.logs[log].generations {
            compress(path, 2);
        }
    }

    /// Generations beyond `keep` are removed, oldest first.
    pub fn prune(&mut self, log: usize, keep: usize) {
        let generations = &mut self.logs[log].generations;
        let gone = generations.len().saturating_sub(keep);
        for path in generations.drain(..gone) {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// The container begins anew; its log is the next `n.log`, and what was its log becomes a generation.
    pub fn restart(&mut self, log: usize) {
        let log = &mut self.logs[log];
        let before = log.path();
        log.generations.push(before);
        log.restarts += 1;
        log.rotations = 0;
        log.file = Some(create(&log.path()));
    }

    /// Copied, then emptied.
    pub fn copytruncate(&mut self, log: usize) {
        let log = &mut self.logs[log];
        let path = log.path();
        let copy = path.with_extension(format!("log.{}", log.rotations + 1));
        log.rotations += 1;
        std::fs::copy(&path, &copy).unwrap();
        log.file.as_ref().unwrap().set_len(0).unwrap();
    }

    /// Emptied. What has not come need not come any more.
    pub fn truncate(&mut self, log: usize) {
        let mut books = self.books.lock();
        self.logs[log].file.as_ref().unwrap().set_len(0).unwrap();
        for seq in 0..books.next(log) {
            books.excuse(log, seq);
        }
    }

    /// Nothing, `kib` KiB of it, in a sparse file.
    pub fn hole(&mut self, log: usize, kib: usize) {
        let file = self.logs[log].file.as_ref().unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len + (u64::try_from(kib).unwrap() << 10))
            .unwrap();
    }

    /// Zero bytes that are really written.
    pub fn zeros(&mut self, log: usize, bytes: usize) {
        self.logs[log].buffer.extend(std::iter::repeat_n(0, bytes));
        self.logs[log].flush();
    }

    /// The pod's folder is gone; what holds the file open may still write.
    pub fn delete(&mut self, log: usize) {
        std::fs::remove_dir_all(&self.logs[log].pod).unwrap();
        self.logs[log].file = None;
        self.logs[log].generations.clear();
    }

    /// The inode of a log's file.
    #[must_use]
    pub fn inode(&self, log: usize) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let file = self.logs[log].file.as_ref().unwrap();
        file.metadata().unwrap().ino()
    }

    /// The container's log is gone, and another begins in its place that has the inode of the last generation, or of the
    /// log itself where there is none. That file is emptied: few file systems give an inode twice when one wants them to,
    /// and for who does not look meanwhile it is the same.
    pub fn reuse_inode(&mut self, log: usize) {
        let log = &mut self.logs[log];
        if let Some(generation) = log.generations.pop() {
            std::fs::rename(generation, log.path()).unwrap();
        }
        let file = OpenOptions::new().append(true).open(log.path()).unwrap();
        file.set_len(0).unwrap();
        log.file = Some(file);
    }

    /// Bytes as they are, at the end of the file: no line of anybody's books.
    pub fn raw(&mut self, log: usize, bytes: &[u8]) {
        self.logs[log].buffer.extend_from_slice(bytes);
        self.logs[log].flush();
    }

    /// Bytes of the file now.
    #[must_use]
    pub fn len(&self, log: usize) -> u64 {
        self.logs[log]
            .file
            .as_ref()
            .unwrap()
            .metadata()
            .unwrap()
            .len()
    }

    /// Overwrites bytes of the file, as a faulty disk does.
    pub fn damage(&self, log: usize, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new()
            .write(true)
            .open(self.logs[log].path())
            .unwrap();
        file.write_all_at(bytes, at).unwrap();
    }
}

impl Log {
    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.restarts))
    }

    fn cri(&mut self, time: i128, stream: &str, tag: &str, text: &[u8]) {
        let at = jiff::Timestamp::from_nanosecond(time).unwrap();
        write!(self.buffer, "{at:.9} {stream} {tag} ").unwrap();
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
    }

    fn flush(&mut self) {
        self.flush_to(self.buffer.len());
    }

    fn flush_to(&mut self, end: usize) {
        let Some(file) = &mut self.file else {
            panic!("the log is deleted");
        };
        file.write_all(&self.buffer[..end]).unwrap();
        self.buffer.drain(..end);
    }
}

fn create(path: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(path)
        .unwrap()
}

/// As kubelet: to `.tmp`, renamed to `.gz`, the plain one removed.
fn compress(path: &mut PathBuf, members: usize) {
    if path.extension().is_some_and(|extension| extension == "gz") {
        return;
    }
    let text = std::fs::read(&*path).unwrap();
    let temporary = PathBuf::from(format!("{}.tmp", path.display()));
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let mut file = File::create(&temporary).unwrap();
    for member in text.chunks(text.len().div_ceil(members).max(1)) {
        let mut encoder = GzEncoder::new(&mut file, Compression::fast());
        encoder.write_all(member).unwrap();
        encoder.finish().unwrap();
    }
    if text.is_empty() {
        GzEncoder::new(&mut file, Compression::fast())
            .finish()
            .unwrap();
    }
    std::fs::rename(&temporary, &packed).unwrap();
    std::fs::remove_file(&*path).unwrap();
    *path = packed;
}
