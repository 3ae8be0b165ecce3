//! Real sockets, real clients.

mod grpc;
mod http;
mod life;
mod setup;

use setup::Running;
