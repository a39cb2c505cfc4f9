//! Looks of pictures that `testing` makes: in the style of the screens, made and not captured.

use std::time::{Duration, Instant};

use super::still::Still;
use super::{Look, look};
use crate::testing::{Screen, paint};

const SIZES: [(usize, usize); 4] = [(640, 480), (800, 600), (1024, 768), (1920, 1080)];
const ADDRESS: &str = "https://www.windows.com/stopcode";

#[test]
fn screens_are_told_at_every_size() {
    let table = [
        (Screen::Stop10(ADDRESS), Look::Stop { code: None, by_qr: true }),
        (Screen::Stop10("http://windows.com/stopcode?code=0x7B"), Look::Stop { code: Some(0x7b), by_qr: true }),
        // Another code does not hide the face.
        (Screen::Stop10("https://example.org/"), Look::Stop { code: None, by_qr: false }),
        (Screen::Stop8, Look::Stop { code: None, by_qr: false }),
        (Screen::StopServer, Look::BlueText),
        (Screen::Recovery, Look::BlueText),
        (Screen::Stop24H2, Look::CentredText),
        (Screen::BootManager, Look::BootManager),
        (Screen::LockScreen, Look::Photograph),
        (Screen::Plain([0, 0, 0]), Look::Blank),
        (Screen::Plain([0, 120, 215]), Look::Blank),
        (Screen::Console, Look::Other),
        (Screen::Setup, Look::Other),
        (Screen::Desktop, Look::Other),
        (Screen::Spinner, Look::Other),
        (Screen::OtherQr, Look::Other),
    ];
    for (screen, wanted) in table {
        for (width, height) in SIZES {
            for soft in [false, true] {
                let found = look(&paint(screen, width, height, soft));
                assert_eq!(found, wanted, "{screen:?} of {width} x {height}, soft: {soft}");
            }
        }
    }
    // Painted by the VGA BIOS' own letters: 640 x 480 in sixteen colours, of which it uses two.
    assert_eq!(look(&paint(Screen::Stop7, 640, 480, false)), Look::OldStop);
    assert_eq!(look(&paint(Screen::Stop7, 640, 480, true)), Look::Other);
}

/// Whether it came up, the reason, and the second that decides.
type Proven = Option<(bool, &'static str, u64)>;

/// What a watch of these screens ends with, each shown for so many seconds, one picture every two.
fn proves(shown: &[(Screen, u64)]) -> Proven {
    let mut still = Still::new(true);
    let (begin, mut second) = (Instant::now(), 0);
    for (screen, seconds) in shown {
        let picture = paint(*screen, 800, 600, true);
        let end = second + seconds;
        while second < end {
            if let Some((sign, _)) = still.see(&picture, begin + Duration::from_secs(second)) {
                return Some((sign.up, sign.reason, second));
            }
            second += 2;
        }
    }
    None
}

#[test]
fn only_certain_screens_decide_soon_and_others_when_they_stay() {
    let table: [(&[(Screen, u64)], Proven); 10] = [
        (&[(Screen::Spinner, 60), (Screen::Stop10(ADDRESS), 60)], Some((false, "stop-screen", 62))),
        (&[(Screen::Stop8, 60)], Some((false, "stop-screen", 2))),
        (&[(Screen::StopServer, 60)], Some((false, "stop-or-recovery-screen", 20))),
        // It went on.
        (&[(Screen::StopServer, 10), (Screen::Spinner, 60)], None),
        (&[(Screen::StopServer, 10), (Screen::Recovery, 18)], None),
        (&[(Screen::BootManager, 60)], Some((false, "boot-manager-screen", 46))),
        (&[(Screen::BootManager, 30), (Screen::Spinner, 60)], None),
        (&[(Screen::LockScreen, 60)], Some((true, "sign-in-screen", 20))),
        (&[(Screen::Stop24H2, 600)], None),
        (&[(Screen::Plain([0, 0, 0]), 300), (Screen::Desktop, 300), (Screen::Setup, 300)], None),
    ];
    for (shown, wanted) in table {
        assert_eq!(proves(shown), wanted, "{shown:?}");
    }
}

#[test]
fn a_picture_is_no_sign_of_a_windows_whose_recovery_has_one() {
    let (mut still, begin) = (Still::default(), Instant::now());
    let picture = paint(Screen::LockScreen, 800, 600, true);
    assert!((0..60).all(|second| still.see(&picture, begin + Duration::from_secs(second)).is_none()));
    assert_eq!(still.look(), Some(Look::Photograph));
}

#[test]
fn a_code_is_named_in_the_line() {
    let (mut still, begin) = (Still::default(), Instant::now());
    let picture = paint(Screen::Stop10("http://windows.com/stopcode?0x7B"), 1024, 768, true);
    assert_eq!(still.see(&picture, begin), None);
    let (_, line) = still.see(&picture, begin + Duration::from_secs(2)).unwrap();
    assert_eq!(line, "stop code 0x7B INACCESSIBLE_BOOT_DEVICE: a stop screen, told by its QR code");
}

mod hostile {
    use proptest::prelude::*;

    use super::super::look;
    use crate::picture::Picture;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Noise of a few colours in blocks: QR codes' finders and lines come up by chance.
        #[test]
        fn no_picture_brings_it_down(width in 160u32..400, height in 120u32..300, block in 1u32..9, bits in any::<u64>(), colours in proptest::collection::vec(any::<[u8; 3]>(), 1..5)) {
            let mut seed = bits | 1;
            let across = width.div_ceil(block);
            let mut cells = Vec::new();
            for _ in 0..across * height.div_ceil(block) {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                cells.push(colours[(seed >> 11) as usize % colours.len()]);
            }
            let cell = |x: u32, y: u32| cells[(y / block * across + x / block) as usize];
            let pixels = (0..width * height).flat_map(|at| cell(at % width, at / width)).collect();
            look(&Picture::new(width, height, pixels).unwrap());
        }
    }
}
