//! The end of a client.

use std::time::Duration;

use tokio::sync::oneshot;

/// How long the end of a component waits for a client's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets a client go, and tells whether it went within five seconds. Its end waits for brokers, callbacks and threads, and
/// librdkafka sets no limit to that (to commit, it waits for as long as a session lasts); so it has a thread of its own, which neither keeps a worker of the runtime busy nor holds up
/// the end of the process.
pub async fn let_go<C: Send + 'static>(client: C) -> bool {
    gone_within(PATIENCE, client).await
}

async fn gone_within<C: Send + 'static>(patience: Duration, client: C) -> bool {
    let (gone, told) = oneshot::channel::<()>();
    let farewell = move || {
        drop(client);
        drop(gone);
    };
    let started = std::thread::Builder::new()
        .name("kafka-farewell".to_owned())
        .spawn(farewell);
    match started {
        // The sender is dropped and never sends.
        Ok(_) => tokio::time::timeout(patience, told).await.is_ok(),
        // No thread is to be had: the client went with what should have run on it, here.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(Duration);

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(self.0);
        }
    }

    #[tokio::test]
    async fn only_so_long_is_waited() {
        assert!(let_go(Slow(Duration::ZERO)).await);
        let never = Slow(Duration::from_secs(3600));
        assert!(!gone_within(Duration::from_millis(10), never).await);
    }
}
