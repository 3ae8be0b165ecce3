//! Asking the system's services over D-Bus: a client for method calls, and no more of the protocol
//! than they need (<https://dbus.freedesktop.org/doc/dbus-specification.html>).
//!
//! The connection is kept between scrapes and made anew when it breaks. Calls that do not need each
//! other's answers are sent together, so that a hundred properties cost a few turns and not a
//! hundred.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten_host::HostError;

/// Where the system's bus listens when the environment does not say.
const SOCKET: &str = "/run/dbus/system_bus_socket";
/// A bus allows a client 128 answers under way.
const AT_ONCE: usize = 64;
/// The list of all units of a large host is a few hundred KiB.
const LARGEST: usize = 32 << 20;
/// How long one answer may take, whatever the scrape's own deadline.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket of the system's bus: the one in `DBUS_SYSTEM_BUS_ADDRESS`, as other clients have it,
/// else the usual one.
pub(crate) fn system_bus() -> PathBuf {
    let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_default();
    address
        .split(';')
        .find_map(|one| {
            let mut pairs = one.strip_prefix("unix:")?.split(',');
            pairs.find_map(|pair| pair.strip_prefix("path="))
        })
        .map_or_else(|| PathBuf::from(SOCKET), PathBuf::from)
}

/// A method to call. All arguments are strings, which is what everything asked here needs.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    pub(crate) arguments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// `Get` of a property of the object at `path`.
    pub(crate) fn property(
        destination: &'a str,
        path: &'a str,
        interface: &'a str,
        name: &'a str,
    ) -> Self {
        Self {
            destination,
            path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: vec![interface, name],
        }
    }
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The values.
    Values(Body),
    /// The service refuses, and how it calls that: no such property, no such unit any more.
    Refused(String),
}

/// The values of a message, which say nothing of their types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    little: bool,
}

/// A connection to a bus, made when it is first needed.
#[derive(Debug)]
pub(crate) struct Bus {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
    serial: u32,
}

impl Bus {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            stream: None,
            serial: 0,
        }
    }

    /// The answers in the order of the calls.
    ///
    /// # Errors
    ///
    /// The bus is not there, does not let this user in, is gone, or does not answer until the
    /// deadline. A connection that was kept is made anew once before that is said.
    pub(crate) fn call(
        &mut self,
        calls: &[Call<'_>],
        deadline: Instant,
    ) -> Result<Vec<Answer>, HostError> {
        let kept = self.stream.is_some();
        let mut answers = self.exchange(calls, deadline);
        if kept && answers.is_err() && Instant::now() < deadline {
            self.stream = None;
            answers = self.exchange(calls, deadline);
        }
        if answers.is_err() {
            self.stream = None;
        }
        answers.map_err(|source| HostError::read(&self.socket, source))
    }

    fn exchange(&mut self, calls: &[Call<'_>], deadline: Instant) -> io::Result<Vec<Answer>> {
        let deadline = deadline.min(Instant::now() + PATIENCE);
        if self.stream.is_none() {
            self.stream = Some(connect(&self.socket, deadline)?);
            self.serial = 0;
            let hello = Call {
                destination: "org.freedesktop.DBus",
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "Hello",
                arguments: Vec::new(),
            };
            self.batch(&[hello], deadline)?;
        }
        let mut answers = Vec::with_capacity(calls.len());
        for some in calls.chunks(AT_ONCE) {
            answers.extend(self.batch(some, deadline)?);
        }
        Ok(answers)
    }

    fn batch(&mut self, calls: &[Call<'_>], deadline: Instant) -> io::Result<Vec<Answer>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let first = self.serial.wrapping_add(1);
        let mut requests = Vec::new();
        for call in calls {
            // 0 is no number of a message; four thousand million calls later it begins anew.
            self.serial = self
                .serial
                .checked_add(1)
                .ok_or(io::ErrorKind::NotConnected)?;
            write_call(&mut requests, self.serial, call);
        }
        limit(stream.get_ref(), deadline)?;
        stream.get_mut().write_all(&requests)?;
        let mut answers: Vec<Option<Answer>> = vec![None; calls.len()];
        let mut missing = calls.len();
        while missing > 0 {
            limit(stream.get_ref(), deadline)?;
            let message = read_message(stream)?;
            let index = message
                .reply_to
                .and_then(|serial| serial.checked_sub(first));
            let index = index.and_then(|index| usize::try_from(index).ok());
            // Signals, and answers to calls that were given up, are nobody's.
            let Some(place) = index.and_then(|index| answers.get_mut(index)) else {
                continue;
            };
            let answer = match message.kind {
                RETURNED => Answer::Values(message.body),
                REFUSED => Answer::Refused(message.error),
                _ => continue,
            };
            if place.replace(answer).is_none() {
                missing -= 1;
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

/// Lets reads and writes wait until the deadline and no longer.
fn limit(stream: &UnixStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))
}

fn connect(socket: &Path, deadline: Instant) -> io::Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket)?;
    limit(&stream, deadline)?;
    let mut stream = BufReader::new(stream);
    // The kernel vouches for the user; the number is written in hexadecimal of its digits.
    let user = rustix::process::geteuid().as_raw().to_string();
    let mut line = Vec::from(&b"\0AUTH EXTERNAL "[..]);
    for digit in user.bytes() {
        write!(line, "{digit:02x}")?;
    }
    line.extend_from_slice(b"\r\n");
    stream.get_mut().write_all(&line)?;
    let mut answer = String::new();
    stream.by_ref().take(1024).read_line(&mut answer)?;
    if !answer.starts_with("OK ") {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the bus does not let this user in",
        ));
    }
    stream.get_mut().write_all(b"BEGIN\r\n")?;
    Ok(stream)
}

const CALLED: u8 = 1;
const RETURNED: u8 = 2;
const REFUSED: u8 = 3;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR: u8 = 4;
const REPLY_TO: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

fn pad(bytes: &mut Vec<u8>, start: usize, to: usize) {
    while !(bytes.len() - start).is_multiple_of(to) {
        bytes.push(0);
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn write_string(bytes: &mut Vec<u8>, start: usize, text: &str) {
    pad(bytes, start, 4);
    bytes.extend_from_slice(&length(text.len()));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn write_call(out: &mut Vec<u8>, serial: u32, call: &Call<'_>) {
    let start = out.len();
    let mut body = Vec::new();
    for argument in &call.arguments {
        write_string(&mut body, 0, argument);
    }
    out.extend_from_slice(&[b'l', CALLED, 0, 1]);
    out.extend_from_slice(&length(body.len()));
    out.extend_from_slice(&serial.to_le_bytes());
    // The length of the fields, known once they are written.
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let fields = out.len();
    for (code, kind, text) in [
        (PATH, b'o', call.path),
        (INTERFACE, b's', call.interface),
        (MEMBER, b's', call.member),
        (DESTINATION, b's', call.destination),
    ] {
        pad(out, start, 8);
        out.extend_from_slice(&[code, 1, kind, 0]);
        write_string(out, start, text);
    }
    if !call.arguments.is_empty() {
        pad(out, start, 8);
        let count = u8::try_from(call.arguments.len()).unwrap_or(u8::MAX);
        out.extend_from_slice(&[SIGNATURE, 1, b'g', 0, count]);
        out.extend(std::iter::repeat_n(b's', usize::from(count)));
        out.push(0);
    }
    let written = length(out.len() - fields);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&written);
    }
    pad(out, start, 8);
    out.extend_from_slice(&body);
}

#[derive(Debug)]
struct Message {
    kind: u8,
    reply_to: Option<u32>,
    error: String,
    body: Body,
}

fn garbled() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "expected a message of the D-Bus protocol",
    )
}

fn read_message(stream: &mut impl io::Read) -> io::Result<Message> {
    let mut head = [0u8; 16];
    stream.read_exact(&mut head)?;
    let little = head.first() == Some(&b'l');
    let mut numbers = Reader::new(head.get(4..).unwrap_or_default(), little);
    let (body, _, fields) = (numbers.u32(), numbers.u32(), numbers.u32());
    let size = |number: Option<u32>| {
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.filter(|size| *size <= LARGEST).ok_or_else(garbled)
    };
    let (body, fields) = (size(body)?, size(fields)?);
    // The fields begin at 16, which is aligned; the body at the next eighth byte.
    let mut bytes = vec![0u8; fields.next_multiple_of(8) + body];
    stream.read_exact(&mut bytes)?;
    let content = bytes.split_off(fields.next_multiple_of(8));
    let mut message = Message {
        kind: head.get(1).copied().unwrap_or(0),
        reply_to: None,
        error: String::new(),
        body: Body {
            bytes: content,
            little,
        },
    };
    let mut reader = Reader::new(bytes.get(..fields).unwrap_or_default(), little);
    while !reader.is_at_end() {
        reader.align(8);
        let (code, value) = (reader.u8(), reader.variant());
        match (code.ok_or_else(garbled)?, value.ok_or_else(garbled)?) {
            (REPLY_TO, Value::Number(serial)) => message.reply_to = u32::try_from(serial).ok(),
            (ERROR, Value::Text(name)) => message.error = name.to_owned(),
            _ => {}
        }
    }
    Ok(message)
}

impl Body {
    /// Its values, one after the other.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.bytes, self.little)
    }

    /// The one value of an answer to `Get`.
    pub(crate) fn variant(&self) -> Option<Value<'_>> {
        self.reader().variant()
    }
}

/// A value with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// `s`, `o` or `g`
    Text(&'a str),
    /// `y`, `q`, `u` or `t`, and the others' bits
    Number(u64),
    /// `b`
    Truth(bool),
}

/// Reads values of known types. Each aligns itself; `None` is the end or nonsense.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], little: bool) -> Self {
        Self {
            bytes,
            at: 0,
            little,
        }
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N);
        let mut number: [u8; N] = *self.take(N)?.first_chunk()?;
        if !self.little {
            number.reverse();
        }
        Some(number)
    }

    fn u8(&mut self) -> Option<u8> {
        self.number().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    /// `s` or `o`
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        self.take(1)?;
        Some(text)
    }

    /// Of an array of structures: shows every one of them to `show`, which reads its members.
    pub(crate) fn structures<T>(
        &mut self,
        mut show: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.align(8);
        let end = self.at.checked_add(length)?;
        let mut all = Vec::new();
        while self.at < end {
            self.align(8);
            all.push(show(self)?);
        }
        Some(all)
    }

    fn variant(&mut self) -> Option<Value<'a>> {
        let length = usize::from(self.u8()?);
        let signature = self.take(length)?;
        self.take(1)?;
        Some(match signature {
            b"s" | b"o" => Value::Text(self.text()?),
            b"g" => {
                let length = usize::from(self.u8()?);
                let text = std::str::from_utf8(self.take(length)?).ok()?;
                self.take(1)?;
                Value::Text(text)
            }
            b"b" => Value::Truth(self.u32()? != 0),
            b"y" => Value::Number(self.u8()?.into()),
            b"q" | b"n" => Value::Number(u16::from_le_bytes(self.number()?).into()),
            b"u" | b"i" | b"h" => Value::Number(self.u32()?.into()),
            b"t" | b"x" | b"d" => Value::Number(u64::from_le_bytes(self.number()?)),
            // Nothing that is asked for here has another type.
            _ => return None,
        })
    }
}

/// A bus that answers as it is told, for tests.
#[cfg(test)]
pub(crate) mod scripted {
    use std::collections::HashMap;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Values to put into an answer.
    #[derive(Clone, Debug)]
    pub(crate) enum Put {
        Text(&'static str),
        U32(u32),
        /// A variant of a string, a number of 32 bits, one of 64, a truth.
        Variant(Inner),
        /// An array of structures.
        Structures(Vec<Vec<Put>>),
        Refuse(&'static str),
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Inner {
        Text(&'static str),
        U32(u32),
        U64(u64),
        Truth(bool),
    }

    fn put(body: &mut Vec<u8>, value: &Put) {
        match value {
            Put::Text(text) => write_string(body, 0, text),
            Put::U32(number) => {
                pad(body, 0, 4);
                body.extend_from_slice(&number.to_le_bytes());
            }
            Put::Variant(inner) => {
                let kind = match inner {
                    Inner::Text(_) => b's',
                    Inner::U32(_) => b'u',
                    Inner::U64(_) => b't',
                    Inner::Truth(_) => b'b',
                };
                body.extend_from_slice(&[1, kind, 0]);
                match inner {
                    Inner::Text(text) => write_string(body, 0, text),
                    Inner::U32(number) => put(body, &Put::U32(*number)),
                    Inner::Truth(truth) => put(body, &Put::U32(u32::from(*truth))),
                    Inner::U64(number) => {
                        pad(body, 0, 8);
                        body.extend_from_slice(&number.to_le_bytes());
                    }
                }
            }
            Put::Structures(all) => {
                pad(body, 0, 4);
                let at = body.len();
                body.extend_from_slice(&[0; 4]);
                pad(body, 0, 8);
                let start = body.len();
                for members in all {
                    pad(body, 0, 8);
                    members.iter().for_each(|member| put(body, member));
                }
                let written = length(body.len() - start);
                body[at..at + 4].copy_from_slice(&written);
            }
            Put::Refuse(_) => {}
        }
    }

    fn answer(serial: u32, values: &[Put]) -> Vec<u8> {
        let mut body = Vec::new();
        values.iter().for_each(|value| put(&mut body, value));
        let refused = values.iter().find_map(|value| match value {
            Put::Refuse(name) => Some(*name),
            _ => None,
        });
        let kind = if refused.is_some() { REFUSED } else { RETURNED };
        let mut out = vec![b'l', kind, 1, 1];
        out.extend_from_slice(&length(body.len()));
        out.extend_from_slice(&7u32.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[REPLY_TO, 1, b'u', 0]);
        out.extend_from_slice(&serial.to_le_bytes());
        if let Some(name) = refused {
            pad(&mut out, 0, 8);
            out.extend_from_slice(&[ERROR, 1, b's', 0]);
            write_string(&mut out, 0, name);
        }
        let written = length(out.len() - 16);
        out[12..16].copy_from_slice(&written);
        pad(&mut out, 0, 8);
        out.extend_from_slice(&body);
        out
    }

    /// Serves one client after the other; what is called is looked up as `path member arguments…`,
    /// and what there is no answer to is refused.
    pub(crate) fn serve(
        folder: &Path,
        answers: HashMap<String, Vec<Put>>,
        clients: usize,
    ) -> (PathBuf, std::thread::JoinHandle<()>) {
        let socket = folder.join("bus");
        let listener = UnixListener::bind(&socket).unwrap();
        let thread = std::thread::spawn(move || {
            for _ in 0..clients {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                assert!(line.starts_with("\0AUTH EXTERNAL "), "{line}");
                stream.get_mut().write_all(b"OK 1234\r\n").unwrap();
                line.clear();
                stream.read_line(&mut line).unwrap();
                assert_eq!(line, "BEGIN\r\n");
                while let Some((serial, called)) = read_call(&mut stream) {
                    let refuse = vec![Put::Refuse("org.freedesktop.DBus.Error.UnknownMethod")];
                    let values = answers.get(&called).cloned();
                    let values = match called.as_str() {
                        "/org/freedesktop/DBus Hello" => vec![Put::Text(":1.1")],
                        "drop" => break,
                        _ => values.unwrap_or(refuse),
                    };
                    if stream
                        .get_mut()
                        .write_all(&answer(serial, &values))
                        .is_err()
                    {
                        break;
                    }
                }
            }
        });
        (socket, thread)
    }

    fn read_call(stream: &mut impl io::Read) -> Option<(u32, String)> {
        let mut head = [0u8; 16];
        stream.read_exact(&mut head).ok()?;
        let mut numbers = Reader::new(&head[4..], true);
        let (body, serial, fields) = (numbers.u32()?, numbers.u32()?, numbers.u32()?);
        let fields = usize::try_from(fields).ok()?;
        let mut bytes = vec![0; fields.next_multiple_of(8) + usize::try_from(body).ok()?];
        stream.read_exact(&mut bytes).ok()?;
        let mut reader = Reader::new(&bytes[..fields], true);
        let (mut path, mut member, mut arguments) = (String::new(), String::new(), 0);
        while !reader.is_at_end() {
            reader.align(8);
            match (reader.u8()?, reader.variant()?) {
                (PATH, Value::Text(text)) => path = text.to_owned(),
                (MEMBER, Value::Text(text)) => member = text.to_owned(),
                (SIGNATURE, Value::Text(text)) => arguments = text.len(),
                _ => {}
            }
        }
        let mut called = format!("{path} {member}");
        let mut reader = Reader::new(&bytes[fields.next_multiple_of(8)..], true);
        for _ in 0..arguments {
            called = format!("{called} {}", reader.text()?);
        }
        Some((serial, called))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::scripted::{Inner, Put, serve};
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn calls_are_answered_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut answers = HashMap::new();
        for n in 0..200u32 {
            let key = format!("/o Get i p{n}");
            answers.insert(key, vec![Put::Variant(Inner::U32(n))]);
        }
        let (socket, server) = serve(folder.path(), answers, 1);
        let mut bus = Bus::new(socket);
        let names: Vec<String> = (0..201).map(|n| format!("p{n}")).collect();
        let calls: Vec<_> = names
            .iter()
            .map(|name| Call::property("d", "/o", "i", name))
            .collect();
        let answers = bus.call(&calls, soon()).unwrap();
        assert_eq!(answers.len(), 201);
        for (n, answer) in answers.iter().take(200).enumerate() {
            let Answer::Values(body) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(
                body.variant(),
                Some(Value::Number(u64::try_from(n).unwrap()))
            );
        }
        assert_eq!(
            answers.last(),
            Some(&Answer::Refused(
                "org.freedesktop.DBus.Error.UnknownMethod".to_owned()
            ))
        );
        drop(bus);
        server.join().unwrap();
    }

    /// Where the reference implementation is installed, it is asked too.
    #[test]
    fn the_real_daemon_answers() {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .arg(format!("--address=unix:path={}", socket.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = daemon else { return };
        // It listens once it has said where.
        let mut address = String::new();
        let mut said = BufReader::new(daemon.stdout.take().unwrap());
        said.read_line(&mut address).unwrap();
        let mut bus = Bus::new(socket);
        let object = "/org/freedesktop/DBus";
        let name = "org.freedesktop.DBus";
        let features = Call::property(name, object, name, "Features");
        let owner = Call {
            destination: name,
            path: object,
            interface: name,
            member: "GetNameOwner",
            arguments: vec![name],
        };
        let units = Call {
            destination: "org.freedesktop.systemd1",
            ..owner.clone()
        };
        let answers = bus.call(&[features, owner, units], soon());
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let answers = answers.unwrap();
        // An array in a variant: well read over, though nothing here makes use of it.
        assert!(matches!(answers[0], Answer::Values(_)), "{answers:?}");
        let Answer::Values(owner) = &answers[1] else {
            panic!("{answers:?}")
        };
        assert_eq!(owner.reader().text(), Some(name));
        // Unknown, or the attempt to start it fails: the daemon's configuration decides.
        assert!(matches!(answers[2], Answer::Refused(_)), "{answers:?}");
    }

    #[test]
    fn a_bus_that_is_gone_is_an_error_that_names_it() {
        let mut bus = Bus::new(PathBuf::from("/absent/bus"));
        let error = bus.call(&[], soon()).unwrap_err();
        assert!(error.to_string().starts_with("/absent/bus: "), "{error}");
        assert!(error.is_absent());
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), little: bool) {
            let body = Body { bytes: bytes.clone(), little };
            let _ = body.variant();
            let _ = body.reader().structures(|reader| Some((reader.text()?.len(), reader.u32()?)));
            if let Ok(message) = read_message(&mut &bytes[..]) {
                let _ = message.body.variant();
            }
        }
    }
}
