#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::test {

/// What an end answers to PeerKeyShown.
enum class Verdict : std::uint8_t { accept, refuse, wait };

/// One end of a simulated connection: a machine, what waits for it, and all that it did.
struct StcpEnd {
  std::unique_ptr<stcp::Connection> machine;
  Verdict verdict = Verdict::accept;
  Bytes inbox;                       ///< wire bytes that have arrived and are not consumed
  Bytes to_send;                     ///< application bytes that seal() has not taken yet
  Bytes received;                    ///< application bytes delivered
  Bytes sent_wire;                   ///< every byte that the machine has given to the wire
  std::vector<stcp::Event> events;   ///< every event, in order
  std::vector<std::string> history;  ///< events and state changes as words
  std::optional<Error> error;        ///< the first error of handle_bytes
  std::size_t out_bytes = 4096;      ///< size of the buffer that handle_bytes delivers to
  bool stream_ended = false;         ///< the other side's byte stream is over
  stcp::State last_state = stcp::State::init;

  [[nodiscard]] stcp::State state() const { return machine->state(); }

  [[nodiscard]] bool is_encrypted() const { return state() == stcp::State::encrypted; }

  /// The error of the machine, as a code.
  [[nodiscard]] std::optional<Errc> fault() const {
    const auto fault = machine->fault();
    return fault ? std::optional(fault->code) : std::nullopt;
  }

  [[nodiscard]] bool saw(std::size_t event_index) const;

  template <class E>
  [[nodiscard]] const E* find() const {
    for (const stcp::Event& event : events) {
      if (const E* found = std::get_if<E>(&event)) return found;
    }
    return nullptr;
  }
};

/// What the network does to one direction. It sees each run of bytes as it was written and may
/// change it; what stays in the vector arrives.
using Tamper = std::function<void(Bytes& bytes)>;

/// Two machines on a virtual wire and a virtual clock, deterministic by its seed.
///
///     StcpPair pair(Mode::tofu);
///     pair.run();                          // handshake
///     pair.send(pair.client, data);
///     pair.run();                          // until nobody has anything to say
///     pair.advance(std::chrono::hours(1)); // fires every deadline on the way
class StcpPair {
 public:
  struct Options {
    stcp::Mode mode = stcp::Mode::tofu;
    stcp::Limits client_limits{};
    stcp::Limits server_limits{};
    stcp::Padding client_padding = stcp::PadNone{};
    stcp::Padding server_padding = stcp::PadNone{};
    std::uint64_t seed = 1;
    std::size_t psk_count = 1;        ///< secrets at the server; the client holds the last
    std::size_t max_chunk_bytes = 0;  ///< split each arrival into runs of 1..this; 0: as written
    std::size_t split_at = 0;         ///< split each arrival once, there (modulo its length)
    crypto::EngineChoice engine = crypto::EngineChoice::fastest;
  };

  explicit StcpPair(stcp::Mode mode) : StcpPair(Options{.mode = mode}) {}

  explicit StcpPair(Options options);
  StcpPair(const StcpPair&) = delete;
  StcpPair& operator=(const StcpPair&) = delete;

  /// A fresh connection with the same configuration; randomness goes on.
  void restart();

  /// Moves bytes until neither end has anything to say. Time stands still.
  void run();
  /// run(), and then every deadline up to `duration` from now, in its order.
  void advance(Duration duration);
  /// Queues application bytes; run() seals them.
  void send(StcpEnd& from, ByteView data);
  /// One direction's stream ends behind what was written.
  void end_stream(StcpEnd& from);

  /// Takes what `end` wants to send, applies nothing, delivers nothing.
  Bytes take_output(StcpEnd& end);
  /// Hands bytes to `end` in one go, as the network would.
  void deliver(StcpEnd& end, ByteView bytes);

  [[nodiscard]] StcpEnd& other(const StcpEnd& end) { return &end == &client ? server : client; }

  [[nodiscard]] bool both_encrypted() const {
    return client.is_encrypted() && server.is_encrypted();
  }

  StcpEnd client;
  StcpEnd server;
  Tamper client_to_server;
  Tamper server_to_client;
  TimePoint now = TimePoint(std::chrono::hours(1));
  std::unique_ptr<crypto::Engine> engine;
  SeededRng rng;
  stcp::ClientConfig client_config;
  stcp::ServerConfig server_config;

 private:
  bool step(StcpEnd& from, StcpEnd& to, const Tamper& tamper);
  void drain_events(StcpEnd& end);
  void feed(StcpEnd& end);

  Options options_;
  Bytes buffer_ = Bytes(std::size_t{1} << 17U);
  SeededRng split_rng_;  ///< apart, so that a split changes no key
};

}  // namespace sealine::test
