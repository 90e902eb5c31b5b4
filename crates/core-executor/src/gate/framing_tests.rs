//! The verdict on a connection's bytes is the same however they were cut.

use super::{Bounds, Framing, Refusal, Step};
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds {
    head: 200,
    headers: 4,
};

/// What became of the bytes: how many heads, how many bytes of what was passed on, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    heads: usize,
    passed: usize,
    refused: Option<Refusal>,
}

/// Gives the bytes in these pieces, as a connection would: what is not used is given again with more behind it.
fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut framing = Framing::new();
    let mut verdict = Verdict {
        heads: 0,
        passed: 0,
        refused: None,
    };
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        while !held.is_empty() {
            let used = match framing.step(&held, &BOUNDS) {
                Ok(Step::Head(count)) => {
                    verdict.heads += 1;
                    count
                }
                Ok(Step::Body(count)) => count,
                Ok(Step::Partial | Step::Undecided) => break,
                Err(refusal) => {
                    verdict.refused = Some(refusal);
                    return verdict;
                }
            };
            assert!(used > 0 && used <= held.len(), "a step goes on");
            verdict.passed += used;
            held.drain(..used);
        }
    }
    verdict
}

/// The same without what depends on how much of a bad body was passed on before it was seen to be bad.
fn comparable(verdict: Verdict) -> (usize, Option<Refusal>, Option<usize>) {
    let passed = verdict.refused.is_none().then_some(verdict.passed);
    (verdict.heads, verdict.refused, passed)
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3;a=b\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"Host: t\r\n",
        b"A: b\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: websocket\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
    ];
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (0..300usize).prop_map(|length| vec![b'a'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_cut_gives_the_same_verdict(
        fragments in proptest::collection::vec(fragment(), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = fragments.concat();
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut begin = 0;
        let pieces: Vec<_> = ends
            .into_iter()
            .map(|end| &bytes[std::mem::replace(&mut begin, end)..end])
            .collect();
        let whole = comparable(verdict([&bytes[..]]));
        prop_assert_eq!(&comparable(verdict(pieces)), &whole);
        prop_assert_eq!(&comparable(verdict(bytes.chunks(1))), &whole);
    }
}

#[test]
fn requests_are_told_apart() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\nPOST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\nPOST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi";
    let all = verdict([&bytes[..]]);
    assert_eq!((all.heads, all.passed, all.refused), (3, bytes.len(), None));
}

#[test]
fn nothing_is_taken_behind_a_request_that_may_switch_until_that_is_decided() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n";
    let behind = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    for (switched, step) in [
        (true, Step::Body(behind.len())),
        (false, Step::Head(behind.len())),
    ] {
        let mut framing = Framing::new();
        assert_eq!(framing.step(upgrade, &BOUNDS), Ok(Step::Head(upgrade.len())));
        assert_eq!(framing.step(behind, &BOUNDS), Ok(Step::Undecided));
        framing.decide(switched);
        assert_eq!(framing.step(behind, &BOUNDS), Ok(step));
    }
}
