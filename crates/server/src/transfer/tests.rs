//! How long the end of an upload is waited with.
//!
//! That nothing else is done meanwhile is seen over sockets.

use super::*;
use crate::storage::Memory;
use pump::Sink as _;

fn receiving(size: Option<u64>, medium: Medium, careful: bool) -> Receiving {
    let path = VirtualPath::root().join(b"a").unwrap();
    let how = Upload::Replace { overwrite: true };
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    Writing { storage, path, how, ascii: false, size, medium, prepared: None, careful }
        .expect(None, false)
}

/// How long an end behind so many bytes is waited with: before they are taken, and after.
fn waits(size: Option<u64>, medium: Medium, careful: bool) -> (Duration, Duration) {
    let mut receiving = receiving(size, medium, careful);
    receiving.comes();
    let before = receiving.hesitates(3);
    receiving.take(b"abc").unwrap();
    receiving.end().unwrap();
    (before, receiving.settling())
}

#[test]
fn the_end_of_an_upload_is_waited_with_unless_it_is_known_to_be_the_whole() {
    let nothing = (Duration::ZERO, Duration::ZERO);
    assert_eq!(waits(None, Medium::Memory, true), (SETTLING, Duration::ZERO));
    let (before, after) = waits(None, Medium::Disk, true);
    assert_eq!(before, Duration::ZERO, "the flush comes first, and takes its part");
    assert!(after > Duration::ZERO && after <= SETTLING, "{after:?}");
    for medium in [Medium::Memory, Medium::Disk] {
        assert_eq!(waits(Some(3), medium, true), nothing);
        assert_eq!(waits(None, medium, false), nothing);
        for wrong in [2, 4] {
            let (before, after) = waits(Some(wrong), medium, true);
            assert!(before + after > Duration::ZERO, "{wrong} announced");
        }
    }
}
