//! Why a batch was not kept, and what its sender hears of it.
//!
//! This is the one place where outcomes are mapped to gRPC and HTTP statuses. The table is the
//! OpenTelemetry Collector's: a status that an upstream gave is passed on in its own protocol and
//! translated into the other; an error without a status becomes `UNAVAILABLE`/503 when sending
//! again can help and `INTERNAL`/500 when it cannot.

use std::fmt;
use std::time::Duration;

use crate::{Batch, BoxError};

/// A gRPC status code (`google.rpc.Code`, its number as in the protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrpcCode {
    /// 1: the caller gave up.
    Cancelled = 1,
    /// 2: nothing more is known.
    Unknown = 2,
    /// 3: the request can never succeed.
    InvalidArgument = 3,
    /// 4: no answer in time.
    DeadlineExceeded = 4,
    /// 5: nothing there.
    NotFound = 5,
    /// 6: there already.
    AlreadyExists = 6,
    /// 7: known, but not allowed.
    PermissionDenied = 7,
    /// 8: a limit or a rate was exceeded.
    ResourceExhausted = 8,
    /// 9: the system's state forbids it.
    FailedPrecondition = 9,
    /// 10: aborted, typically by a conflict.
    Aborted = 10,
    /// 11: past the valid range.
    OutOfRange = 11,
    /// 12: not served here.
    Unimplemented = 12,
    /// 13: something broke.
    Internal = 13,
    /// 14: not now.
    Unavailable = 14,
    /// 15: data was lost for good.
    DataLoss = 15,
    /// 16: who are you?
    Unauthenticated = 16,
}

impl GrpcCode {
    /// The code with this number; numbers that the protocol does not define are `Unknown`.
    /// `None` for 0, which is not an error.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => return None,
            1 => Self::Cancelled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => Self::Unknown,
        })
    }

    /// Its number in the protocol.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self as u8)
    }

    /// Whether OTLP allows a client to send the same request again after this code.
    /// `ResourceExhausted` counts only together with a delay from the server (`RetryInfo`).
    #[must_use]
    pub fn is_retryable(self, has_delay: bool) -> bool {
        match self {
            Self::Cancelled
            | Self::DeadlineExceeded
            | Self::Aborted
            | Self::OutOfRange
            | Self::Unavailable
            | Self::DataLoss => true,
            Self::ResourceExhausted => has_delay,
            _ => false,
        }
    }
}

/// The status that whoever refused gave, in the protocol it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// No protocol's status: an error of this process.
    Unset,
    /// A gRPC status.
    Grpc(GrpcCode),
    /// An HTTP status code.
    Http(u16),
}

impl Status {
    /// The request can never succeed as it is.
    pub const INVALID_ARGUMENT: Self = Self::Grpc(GrpcCode::InvalidArgument);
    /// A limit, a rate or a queue is full.
    pub const RESOURCE_EXHAUSTED: Self = Self::Grpc(GrpcCode::ResourceExhausted);
    /// Not now.
    pub const UNAVAILABLE: Self = Self::Grpc(GrpcCode::Unavailable);
    /// Nobody here does that.
    pub const UNIMPLEMENTED: Self = Self::Grpc(GrpcCode::Unimplemented);
    /// Something broke here.
    pub const INTERNAL: Self = Self::Grpc(GrpcCode::Internal);
}

/// Nothing downstream kept the batch in `rest`.
///
/// Boxed inside, so that the `Ok` path of every edge stays small.
pub struct Refused(Box<Refusal>);

struct Refusal {
    retryable: bool,
    status: Status,
    after: Option<Duration>,
    rest: Batch,
    source: BoxError,
}

impl Refused {
    /// Sending `rest` again can never succeed.
    pub fn permanent(status: Status, rest: Batch, source: impl Into<BoxError>) -> Self {
        Self::new(false, status, rest, source.into())
    }

    /// Sending `rest` again later may succeed.
    pub fn retryable(status: Status, rest: Batch, source: impl Into<BoxError>) -> Self {
        Self::new(true, status, rest, source.into())
    }

    fn new(retryable: bool, status: Status, rest: Batch, source: BoxError) -> Self {
        Self(Box::new(Refusal {
            retryable,
            status,
            after: None,
            rest,
            source,
        }))
    }

    /// The same, with how long the sender should wait before it tries again.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.after = Some(delay);
        self
    }

    /// The same refusal about another batch: a batching processor answers each of its callers
    /// with the caller's own data.
    #[must_use]
    pub fn for_batch(&self, rest: Batch) -> Self {
        Self(Box::new(Refusal {
            retryable: self.0.retryable,
            status: self.0.status,
            after: self.0.after,
            rest,
            source: self.0.source.to_string().into(),
        }))
    }

    /// Whether sending again can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The status as it was given.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// How long to wait before the next attempt, when whoever refused said so.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.0.after
    }

    /// What nobody downstream kept.
    #[must_use]
    pub fn rest(&self) -> &Batch {
        &self.0.rest
    }

    /// Takes what nobody downstream kept.
    #[must_use]
    pub fn into_rest(self) -> Batch {
        self.0.rest
    }

    /// Why, in words.
    #[must_use]
    pub fn reason(&self) -> &BoxError {
        &self.0.source
    }

    /// The gRPC status for the sender.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        match self.0.status {
            Status::Grpc(code) => code,
            Status::Http(status) => match status {
                400 => GrpcCode::InvalidArgument,
                401 => GrpcCode::Unauthenticated,
                403 => GrpcCode::PermissionDenied,
                404 => GrpcCode::Unimplemented,
                429 => GrpcCode::ResourceExhausted,
                502..=504 => GrpcCode::Unavailable,
                _ => self.without_status().0,
            },
            Status::Unset => self.without_status().0,
        }
    }

    /// The HTTP status for the sender.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self.0.status {
            Status::Grpc(code) => match code {
                GrpcCode::Cancelled
                | GrpcCode::DeadlineExceeded
                | GrpcCode::Aborted
                | GrpcCode::OutOfRange
                | GrpcCode::Unavailable
                | GrpcCode::DataLoss => 503,
                GrpcCode::ResourceExhausted => 429,
                GrpcCode::InvalidArgument => 400,
                GrpcCode::Unauthenticated => 401,
                GrpcCode::PermissionDenied => 403,
                GrpcCode::Unimplemented => 404,
                _ => 500,
            },
            Status::Http(status) => match status {
                400 | 401 | 403 | 404 | 429 | 500 | 503 => status,
                502 | 504 => 503,
                _ => 500,
            },
            Status::Unset => self.without_status().1,
        }
    }

    fn without_status(&self) -> (GrpcCode, u16) {
        if self.0.retryable {
            (GrpcCode::Unavailable, 503)
        } else {
            (GrpcCode::Internal, 500)
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.fmt(f)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("retryable", &self.0.retryable)
            .field("status", &self.0.status)
            .field("after", &self.0.after)
            .field("items", &self.0.rest.items())
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0.source)
    }
}

#[cfg(test)]
mod tests {
    use corten_pdata::{Data, Signal};

    use super::*;

    fn refused(retryable: bool, status: Status) -> Refused {
        let batch = Batch::new(Data::empty(Signal::Traces));
        if retryable {
            Refused::retryable(status, batch, "no")
        } else {
            Refused::permanent(status, batch, "no")
        }
    }

    /// The Collector's table, row by row: what a sender sees of an upstream's status.
    #[test]
    fn statuses_are_mapped_as_the_collector_maps_them() {
        let grpc = [
            (1, 503),
            (2, 500),
            (3, 400),
            (4, 503),
            (5, 500),
            (6, 500),
            (7, 403),
            (8, 429),
            (9, 500),
            (10, 503),
            (11, 503),
            (12, 404),
            (13, 500),
            (14, 503),
            (15, 503),
            (16, 401),
        ];
        for (number, http) in grpc {
            let code = GrpcCode::from_number(number).unwrap();
            let seen = refused(true, Status::Grpc(code));
            assert_eq!(seen.grpc_code().number(), number, "gRPC {number} to gRPC");
            assert_eq!(seen.http_status(), http, "gRPC {number} to HTTP");
        }
        let http = [
            (400, 3, 400),
            (401, 16, 401),
            (403, 7, 403),
            (404, 12, 404),
            (429, 8, 429),
            (500, 13, 500),
            (502, 14, 503),
            (503, 14, 503),
            (504, 14, 503),
            (409, 13, 500),
            (418, 13, 500),
        ];
        for (status, grpc, http) in http {
            let seen = refused(false, Status::Http(status));
            assert_eq!(seen.grpc_code().number(), grpc, "HTTP {status} to gRPC");
            assert_eq!(seen.http_status(), http, "HTTP {status} to HTTP");
        }
        assert_eq!(
            refused(true, Status::Unset).grpc_code(),
            GrpcCode::Unavailable
        );
        assert_eq!(refused(true, Status::Unset).http_status(), 503);
        assert_eq!(
            refused(false, Status::Unset).grpc_code(),
            GrpcCode::Internal
        );
        assert_eq!(refused(false, Status::Unset).http_status(), 500);
    }

    #[test]
    fn numbers_that_grpc_does_not_define_are_unknown() {
        assert_eq!(GrpcCode::from_number(0), None);
        assert_eq!(GrpcCode::from_number(99), Some(GrpcCode::Unknown));
        assert_eq!(GrpcCode::from_number(-1), Some(GrpcCode::Unknown));
    }
}
