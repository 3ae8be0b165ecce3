//! `/proc/net/tcp` and `/proc/net/tcp6`: how many connections are in which state.

use crate::scan::{fields, lines};

/// The states that a connection can be in, in the order of the kernel's numbers from 1
/// (`include/net/tcp_states.h`).
pub const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

/// Connections by state, in the order of [`STATES`].
pub type Counts = [u64; STATES.len()];

/// Adds the connections of one file to `counts`. Lines that are no connection are passed over: the
/// file is written while connections come and go.
pub fn count(file: &[u8], counts: &mut Counts) {
    // One line of headings.
    for (_, line) in lines(file).skip(1) {
        let state = fields(line)
            .nth(3)
            .and_then(|state| std::str::from_utf8(state).ok())
            .and_then(|state| usize::from_str_radix(state, 16).ok());
        // Requests that are not accepted yet have a number of their own.
        let state = match state {
            Some(12) => Some(3),
            state => state,
        };
        if let Some(count) = state.and_then(|state| counts.get_mut(state.checked_sub(1)?)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_state() {
        let text = b"  sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000\n\
            2: 0100007F:1F90 0100007F:A1B3 01 00000000:00000000\n\
            3: 0100007F:1F90 0100007F:A1B3 0C 00000000:00000000\n\
            4: 0100007F:1F90 0100007F:A1B3 FF 00000000:00000000\n\
            5: 0100007F:1F90 0100007F:A1B3 00 00000000:00000000\nbroken\n";
        let mut counts = Counts::default();
        count(text, &mut counts);
        let seen: Vec<_> = STATES
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(seen, [("ESTABLISHED", 2), ("SYN_RECV", 1), ("LISTEN", 1)]);
    }
}
