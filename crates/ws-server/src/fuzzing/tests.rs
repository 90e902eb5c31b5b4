//! A short run of every fuzz target: its corpus, and random bytes.

use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 5] = [
    ("header", super::header),
    ("codec", super::codec),
    ("deflate", super::deflate),
    ("handshake", super::handshake),
    ("envelope", super::envelope),
];

#[test]
fn the_corpus_of_every_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let files = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let inputs: Vec<_> = files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            target(&input);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (_, target) in TARGETS {
            target(&data);
        }
    }

    #[test]
    fn random_extensions(value in "(permessage-deflate|[;=,\" ]|(server|client)_(no_context_takeover|max_window_bits)|[0-9]{1,2}){0,9}") {
        super::handshake(format!("GET\nsec-websocket-extensions: {value}\nsec-websocket-protocol: chat, x").as_bytes());
    }
}
