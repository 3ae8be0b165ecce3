//! Readers of `/proc`, `/sys` and control groups: one raw read for every vocabulary.
//!
//! What the kernel says is read once here and put in words elsewhere: `node_*` for Prometheus,
//! `system.*` for OpenTelemetry, `container_*` as cAdvisor has it. So nothing in this crate knows
//! a metric's name; [`families`] only knows what Prometheus's metrics look like. Parsing stands apart from reading: parsers take bytes and never panic on
//! any; readers take [`Roots`], so that a host mounted elsewhere and a folder of files in a test
//! work alike, and keep their buffers and descriptors from one collection to the next.
//!
//! The parsers are written by hand because every one of them must keep what the kernel wrote: the
//! number of a CPU whose neighbour is offline, fields that a kernel of tomorrow adds, averages to
//! their last digit, a file that lacks a field. They cost a tenth of what building maps costs.
//!
//! ```
//! use corten_host::{HostFile, Roots, loadavg::LoadAverage};
//!
//! let roots = Roots::default();
//! let mut file = HostFile::new(roots.proc("loadavg"));
//! let load = LoadAverage::parse(file.read()?)?;
//! assert!(load.one >= 0.0);
//! # Ok::<(), corten_host::HostError>(())
//! ```

mod anchor;
mod attributes;
pub mod cgroup;
pub mod clocksource;
pub mod cpuinfo;
mod device;
pub mod diskstats;
pub mod drivers;
mod error;
pub mod families;
mod file;
pub mod filesystems;
mod folder;
pub mod generic_netlink;
pub mod link_modes;
pub mod links;
pub mod loadavg;
pub mod meminfo;
pub mod mounts;
pub mod netdev;
pub mod netlink;
pub mod process;
pub mod processes;
mod roots;
pub mod scan;
pub mod stat;
pub mod statfs;
pub mod swaps;
pub mod tcp;
pub mod timex;
pub mod timezone;
pub mod topology;
pub mod udev;
pub mod uname;
pub mod uptime;
pub mod vmstat;
pub mod wireless;

pub use attributes::Attributes;
pub use device::DeviceNumbers;
pub use error::HostError;
pub use file::{Buffer, HostFile, is_sysfs};
pub use roots::Roots;
pub use scan::float;
