//! The ring: which backend a key belongs to.
//!
//! As in the Collector: a circle of 36,000 positions; every backend has 100 points on it, the CRC-32 (IEEE) of its name and a
//! byte that counts them; where two meet, the first keeps the position. A key belongs to the next point at or after its
//! own CRC-32.

use flate2::Crc;

const POSITIONS: u32 = 36_000;
const POINTS: u8 = 100;

/// Points in order, with the number of the backend that each belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ring {
    points: Vec<(u32, usize)>,
}

impl Ring {
    /// The ring of these backends; their order decides who keeps a position.
    pub(crate) fn new<S: AsRef<str>>(backends: &[S]) -> Self {
        let mut owners = vec![None; POSITIONS as usize];
        for (backend, name) in backends.iter().enumerate() {
            for point in 0..POINTS {
                let at = position(&[name.as_ref().as_bytes(), &[point]]);
                if let Some(owner) = owners.get_mut(at as usize) {
                    owner.get_or_insert(backend);
                }
            }
        }
        let points = (0..).zip(owners);
        Self {
            points: points
                .filter_map(|(at, owner)| Some((at, owner?)))
                .collect(),
        }
    }

    /// The number of the backend that a key belongs to; 0 when there is none.
    pub(crate) fn place(&self, key: &[u8]) -> usize {
        let at = position(&[key]);
        let next = self.points.partition_point(|(point, _)| *point < at);
        let found = self.points.get(next).or_else(|| self.points.first());
        found.map_or(0, |(_, backend)| *backend)
    }
}

fn position(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    for part in parts {
        crc.update(part);
    }
    crc.sum() % POSITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known values of the checksum (the check value of CRC-32/ISO-HDLC).
    #[test]
    fn positions_are_crc_32() {
        assert_eq!(position(&[b"123456789"]), 0xcbf4_3926 % POSITIONS);
        assert_eq!(position(&[b"1234", b"56789"]), 0xcbf4_3926 % POSITIONS);
    }

    /// Computed apart from this code, with Python's `zlib.crc32`, by the rules above.
    #[test]
    fn keys_are_placed_as_everywhere() {
        let backends = ["backend-1:4317", "backend-2:4317", "backend-3:4317"];
        let ring = Ring::new(&backends);
        assert_eq!(ring.points.len(), EXPECTED_POINTS);
        let placed: Vec<usize> = (0u8..16).map(|n| ring.place(&[n; 16])).collect();
        assert_eq!(placed, EXPECTED);
    }

    const EXPECTED_POINTS: usize = 297;
    const EXPECTED: [usize; 16] = [2, 2, 1, 0, 1, 1, 1, 0, 1, 2, 1, 2, 2, 1, 1, 0];

    #[test]
    fn a_ring_of_one_or_none_has_a_place_for_everything() {
        assert_eq!(Ring::default().place(b"x"), 0);
        let ring = Ring::new(&["only"]);
        assert!((0u32..1000).all(|n| ring.place(&n.to_le_bytes()) == 0));
    }

    #[test]
    fn a_backend_that_leaves_moves_only_its_own() {
        let before = Ring::new(&["a:1", "b:1", "c:1", "d:1"]);
        let after = Ring::new(&["a:1", "b:1", "d:1"]);
        let names = (["a", "b", "c", "d"], ["a", "b", "d"]);
        let (mut moved, mut was) = (0, [0; 4]);
        for n in 0u32..10_000 {
            let key = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
            let (from, to) = (before.place(&key), after.place(&key));
            was[from] += 1;
            if names.0[from] != names.1[to] {
                moved += 1;
                assert_eq!(names.0[from], "c");
            }
        }
        assert_eq!(moved, was[2]);
        assert!(was.iter().all(|share| *share > 1500), "{was:?}");
    }
}
