#include "tests/sim/scp/answering.hpp"

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>
#include <optional>
#include <utility>

namespace sealine::sim {

std::optional<Result<scp::Opening>> ScpAnswering::go_on(Inbox& inbox, Wire& wire) {
  for (;;) {
    std::size_t used = 0;
    auto progress = handshake_.handle_bytes(inbox.rest(), used);
    if (progress && *progress == scp::Progress::key_shown) {
      const auto& key = handshake_.peer().key;
      require(key.has_value(), "a key that is shown is there");
      if (allowed_key_ && *key != *allowed_key_) return fail(Errc::peer_key_changed);
      progress = handshake_.accept_peer_key();
    }
    if (!progress) return std::unexpected(progress.error());
    consumed_ += used;
    inbox.take(used);
    if (*progress == scp::Progress::need_bytes) return std::nullopt;
    ByteArray<1024> out{};
    const std::size_t written = handshake_.poll_transmit(out);
    if (written != 0) wire.write(ByteView(out).first(written));
    if (*progress == scp::Progress::done) return std::move(handshake_).take();
  }
}

}  // namespace sealine::sim
