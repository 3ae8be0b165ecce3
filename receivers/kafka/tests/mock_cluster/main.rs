//! The receiver and the exporter against librdkafka's mock cluster, which speaks Kafka's protocol on loopback: topics,
//! groups, offsets, rebalances, and brokers that go away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod exporting;
mod peers;
mod receiving;
