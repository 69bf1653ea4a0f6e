//! The kernel's wire: bytes to frames, and frames to messages.
#![no_main]

#[path = "../../kernel-spec/src/receive.rs"]
#[allow(dead_code, reason = "the kernel uses the rest")]
mod receive;
#[path = "../../kernel-spec/src/recent_signatures.rs"]
#[allow(dead_code, reason = "the kernel uses the rest")]
mod recent_signatures;
#[path = "../../kernel-spec/src/sync.rs"]
#[allow(dead_code, reason = "the kernel uses the rest")]
mod sync;

use asynchronous_codec::Decoder;
use jupyter_zmq_client::RawMessage;
use zeromq::__bench::{Message, ZmqCodec};

/// The first bytes of a connection, without security.
fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = bytes::BytesMut::from(&greeting()[..]);
    bytes.extend_from_slice(data);
    let mut codec = ZmqCodec::new();
    // Unsigned, so that the bytes reach the parser.
    while let Ok(Some(message)) = codec.decode(&mut bytes) {
        if let Message::Message(frames) = message
            && let Ok(raw) = RawMessage::from_multipart(frames, &None)
        {
            let _parsed = receive::parse(raw);
        }
    }
});
