#include "tests/sim/stt/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stt/call.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

SttWorld::SttWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                   const SttKeys& keys)
    : dice_(seed), rng_(mix(seed) ^ 0x577b), engine_(inner, book_), events_(events) {
  draw_rates(seed);
  for (stt::HandshakeConfig* config : {&here_, &there_, &stranger_}) {
    const auto& key = config == &stranger_ ? keys.seeds[1] : keys.seeds[0];
    config->seed_key = stc::SeedKey(key->expose());
    config->ephemeral = dice_.chance(70);
    rng_.fill(config->node_id);
  }
  there_.demand_ephemeral = here_.ephemeral && dice_.chance(50);
  // A clock that is off costs a round trip, and nothing else.
  if (dice_.chance(25)) skew_ms_ = dice_.between(0, 7'200'000);
  responder_.emplace(there_, engine_, rng_, now_);
}

RunResult SttWorld::run() {
  for (; counts_.events < events_; ++counts_.events) step();
  if (rates_.is_liveness) settle();
  for (auto& call : calls_) finish(*call);
  return {.trace = trace_.value(),
          .events = counts_.events,
          .counts = {{"sessions", counts_.sessions},
                     {"streams", counts_.streams},
                     {"kilobytes", counts_.bytes / 1000},
                     {"messages", counts_.messages},
                     {"rotations", counts_.rotations},
                     {"closed well", counts_.clean},
                     {"broken", counts_.broken},
                     {"keys", book_.count()}}};
}

void SttWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 3 == 0;
  rates_.calls = dice_.between(1, 5);
  rates_.stall_permille = static_cast<unsigned>(dice_.pick({0, 0, 1, 5}));
  rates_.tick_percent = static_cast<unsigned>(dice_.pick({2, 8, 20}));
  rates_.slow_percent = static_cast<unsigned>(dice_.pick({0, 20, 80}));
  rates_.rough_permille = static_cast<unsigned>(dice_.pick({0, 0, 5}));
  rates_.capacity = static_cast<std::size_t>(dice_.pick({1000, 20'000, 300'000}));
  rates_.tamper_permille = static_cast<unsigned>(dice_.pick({0, 0, 2, 8}));
  rates_.cut_permille = static_cast<unsigned>(dice_.pick({0, 0, 1, 3}));
}

stt::SessionConfig SttWorld::draw_config() {
  stt::SessionConfig config;
  config.padding =
      dice_.pick({stt::Padding::none, stt::Padding::none, stt::Padding::none,
                  stt::Padding::fixed_128, stt::Padding::fixed_1024, stt::Padding::full});
  stt::Limits& limits = config.limits;
  // Room for some messages: one is begun with credit for all of it.
  limits.stream_window_bytes = static_cast<std::uint64_t>(dice_.pick({40'000, 262'144}));
  limits.session_window_bytes =
      static_cast<std::uint64_t>(dice_.pick({50'000, 100'000, 1'048'576}));
  const std::uint64_t most = dice_.chance(50) ? 1 : 8;  // with auto-tuning or without
  limits.max_stream_window_bytes = most * limits.stream_window_bytes;
  limits.max_session_window_bytes = most * limits.session_window_bytes;
  limits.send_buffer_bytes = dice_.pick<std::size_t>({5'000, 60'000, 262'144});
  limits.frame_bytes = dice_.pick<std::size_t>({1'000, 16'384, 65'536});
  limits.rotate_frames = dice_.pick<std::uint64_t>({20, 60, 300, 100'000});
  limits.rotate_bytes = dice_.pick<std::uint64_t>({100'000, 1'000'000'000});
  limits.rotate_after = dice_.pick<Duration>({5s, 3600s});
  if (dice_.chance(50)) limits.ping_after = 5s;
  return config;
}

void SttWorld::step() {
  std::size_t roll = dice_.below(1000);
  const auto happens = [&roll](unsigned permille) {
    if (roll < permille) return true;
    roll -= permille;
    return false;
  };
  if (happens(rates_.tamper_permille)) return tamper();
  if (happens(rates_.cut_permille)) return cut();
  if (happens(rates_.stall_permille)) return stall();
  if (calls_.size() < rates_.calls && dialed_ < rates_.dials &&
      (calls_.empty() || dice_.chance(4))) {
    return dial();
  }
  if (calls_.empty() || dice_.chance(rates_.tick_percent)) return tick();
  SttCall& call = *calls_[dice_.below(calls_.size())];
  const bool is_client = dice_.chance(50);
  if (dice_.chance(45)) {
    act(call, is_client);
  } else {
    deliver(call, is_client, dice_.between(1, 4), false);
  }
  look_at(call);
}

void SttWorld::tick() {
  note(1, 0);
  Duration by = std::chrono::microseconds(dice_.between(1, 3000));
  if (dice_.chance(10)) by = std::chrono::milliseconds(dice_.between(1, 400));
  if (dice_.chance(1) && !rates_.is_liveness) by = std::chrono::seconds(dice_.between(1, 40));
  if (by >= kLongStall) {
    for (auto& call : calls_) call->is_disturbed = true;
  }
  now_ += by;
  if (calls_.empty()) now_ += 1s;
  pass();
  collect();
}

void SttWorld::pass() {
  responder_->handle_timeout(now_);
  for (auto& call : calls_) {
    if (call->initiator && !call->client) {
      call->initiator->handle_timeout(now_);
      if (call->initiator->has_failed()) hang_up(*call, true);
    }
    if (!call->server && now_ - call->opened >= there_.limits.half_open_timeout) {
      hang_up(*call, false);
    }
    for (const bool is_client : {true, false}) {
      SttEnd* const end = call->end(is_client);
      if (end == nullptr) continue;
      for (int i = 0; i < 8; ++i) {
        const auto deadline = end->session().poll_timeout();
        if (!deadline || *deadline > now_) break;
        end->session().handle_timeout(now_);
      }
      const auto left = end->session().poll_timeout();
      require(!left || *left > now_, "a timer that fired is over");
    }
    look_at(*call);
  }
}

void SttWorld::act(SttCall& call, bool is_client) {
  note(2, 0);
  SttEnd* const end = call.end(is_client);
  const SttEnd* const peer = call.end(!is_client);
  if (end == nullptr || peer == nullptr || end->is_over()) return;
  if (!(is_client ? call.is_client_open : call.is_server_open)) return;
  const std::size_t roll = dice_.below(1000);
  if (roll < 50 && end->open_streams() < kMaxStreams) {
    end->open(now_);
  } else if (roll < 500) {
    end->write(now_);
  } else if (roll < 900) {
    end->read(*peer, dice_.chance(rates_.slow_percent), now_);
  } else if (roll < 940) {
    end->finish(now_);
  } else if (roll < 947) {
    end->reset(now_);
  } else if (roll < 954) {
    end->stop(now_);
  } else if (roll < 970) {
    end->ping(now_);
  } else if (roll < 980) {
    end->rotate(now_);
  } else if (dice_.below(1000) < rates_.rough_permille) {
    call.is_rough = true;
    end->close(static_cast<std::uint16_t>(256 + dice_.below(100)), now_);
  } else {
    end->session().handle_timeout(now_);  // early: harmless
  }
}

void SttWorld::deliver(SttCall& call, bool to_client, std::size_t most, bool is_always) {
  SttLine& line = to_client ? call.down : call.up;
  note(3, to_client ? 1 : 0);
  if (!is_always && line.stalled_until > now_) return;
  for (std::size_t i = 0; i < most && !line.empty(); ++i) {
    auto [message, is_forged] = line.take();
    trace_.add(ByteView(message).first(std::min<std::size_t>(message.size(), 40)));
    if (!(to_client ? call.is_client_open : call.is_server_open)) continue;
    const SttEnd* const before = call.end(to_client);
    const bool was_over = before != nullptr && before->is_over();
    const bool is_good = to_client ? to_initiator(call, message) : to_responder(call, message);
    const bool is_up = call.end(to_client) != nullptr;
    require(!is_good || !is_forged || !is_up || was_over,
            "nothing that was changed on its way is taken");
    if (!is_good) {
      require(call.is_disturbed || call.is_attack || !call.has_seed || is_refused_for_ephemeral(),
              "no fault between honest ends");
      hang_up(call, to_client);
      return;
    }
    pump(call, to_client);
  }
  if (line.empty() && line.is_ended) hang_up(call, to_client);
}

bool SttWorld::is_refused_for_ephemeral() const {
  return there_.demand_ephemeral && !here_.ephemeral;
}

bool SttWorld::to_initiator(SttCall& call, MutableBytes message) {
  if (call.client) return call.client->session().handle_datagram(message, now_).has_value();
  if (!call.initiator) return false;
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  if (!call.initiator->handle_frame(*frame, now_)) return false;
  if (!call.initiator->is_done()) return true;
  require(call.has_seed && !call.is_attack, "who has not the seed opens nothing");
  require(call.server_id.has_value(), "an initiator is done behind its responder");
  make_end(call, true, std::move(*call.initiator).take());
  call.initiator.reset();
  require(call.client->session().id() == *call.server_id, "both know the session by one id");
  return true;
}

bool SttWorld::to_responder(SttCall& call, MutableBytes message) {
  if (call.server) return call.server->session().handle_datagram(message, now_).has_value();
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  ByteArray<stt::kMaxHandshakeFrameBytes> out{};
  auto reply = responder_->handle_frame(*frame,
                                        {.address = call.address,
                                         .transport = stt::Transport::websocket,
                                         .datagram_bytes = message.size()},
                                        unix_ms(), now_, out);
  if (!reply) return false;
  require(call.has_seed, "who has not the seed gets no answer");
  call.down.write(ByteView(out).first(reply->reply_bytes));
  if (!reply->established) return true;
  require(!call.is_attack, "an attacker's bytes open nothing");
  call.server_id = reply->established->session_id;
  make_end(call, false, std::move(*reply->established));
  return true;
}

void SttWorld::make_end(SttCall& call, bool is_client, stt::Established established) {
  ++counts_.sessions;
  (is_client ? call.client : call.server) = std::make_unique<SttEnd>(
      call.config, std::move(established), engine_, rng_, Dice(dice_.next()), now_);
}

void SttWorld::pump(SttCall& call, bool of_client) {
  SttLine& line = of_client ? call.up : call.down;
  if (of_client && call.initiator) {
    ByteArray<stt::kMaxHandshakeFrameBytes> out{};
    while (const std::size_t bytes = call.initiator->poll_transmit(out)) {
      line.write(ByteView(out).first(bytes));
    }
  }
  SttEnd* const end = call.end(of_client);
  SttEnd* const peer = call.end(!of_client);
  if (end == nullptr) return;
  while (!line.is_full()) {
    const bool was_over = end->session().state() == stt::SessionState::closed;
    const std::size_t bytes = end->session().poll_transmit(out_, now_);
    require(bytes == 0 || !was_over, "no byte after the end of a session");
    if (bytes == 0) break;
    require(bytes <= out_.size(), "a message fits");
    line.write(ByteView(out_).first(bytes));
  }
  require(!book_.repeated(), "no key and nonce seal twice");
  book_.tidy();
  if (peer != nullptr) end->take_events(*peer, now_);
  // Who has closed, and said so, ends the connection.
  if (end->session().state() == stt::SessionState::closed && !line.is_full()) {
    hang_up(call, of_client);
  }
}

void SttWorld::dial() {
  note(4, 0);
  auto call = std::make_unique<SttCall>();
  call->has_seed = !dice_.chance(5);
  call->config = draw_config();
  start(*call);
  call->initiator.emplace(call->has_seed ? here_ : stranger_, stt::Transport::websocket, engine_,
                          rng_, unix_ms() + skew_ms_, now_);
  pump(*call, true);
  calls_.push_back(std::move(call));
}

void SttWorld::start(SttCall& call) {
  call.opened = now_;
  call.up.capacity = call.down.capacity = rates_.capacity;
  ++dialed_;
  call.address = {
      127, 0, 0, 1, static_cast<std::uint8_t>(dialed_ >> 8U), static_cast<std::uint8_t>(dialed_)};
}

UnixMillis SttWorld::unix_ms() const {
  return 1'700'000'000'000 +
         static_cast<UnixMillis>(
             std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch())
                 .count());
}

void SttWorld::hang_up(SttCall& call, bool by_client) {
  bool& is_open = by_client ? call.is_client_open : call.is_server_open;
  if (!is_open) return;
  is_open = false;
  (by_client ? call.up : call.down).is_ended = true;
  SttLine& in = by_client ? call.down : call.up;
  in.is_deaf = true;
  in.drop_all();
  if (by_client) call.initiator.reset();
  SttEnd* const end = call.end(by_client);
  const SttEnd* const peer = call.end(!by_client);
  if (end == nullptr) return;
  end->session().handle_disconnected(now_);
  if (peer != nullptr) end->take_events(*peer, now_);
  if (!by_client) responder_->release(end->session().id());
}

void SttWorld::look_at(SttCall& call) {
  for (const bool is_client : {true, false}) {
    if (is_client ? call.is_client_open : call.is_server_open) pump(call, is_client);
    if (const SttEnd* const end = call.end(is_client)) {
      if (dice_.chance(10)) end->check_windows();
    }
  }
  if (!call.client || !call.server) return;
  const auto up = call.client->session().statistics();
  const auto down = call.server->session().statistics();
  require(up.epoch_received <= down.epoch_sent && down.epoch_received <= up.epoch_sent,
          "no epoch is ahead of its sender");
  require(up.frames_received <= down.frames_sent && down.frames_received <= up.frames_sent,
          "no frame comes that was not sent");
  require(up.bytes_received <= down.bytes_sent && down.bytes_received <= up.bytes_sent,
          "no more comes than was written");
  require(
      call.client->session().has_forward_secrecy() == call.server->session().has_forward_secrecy(),
      "both know whether there is forward secrecy");
}

void SttWorld::collect() {
  for (std::size_t i = 0; i < calls_.size();) {
    if (calls_[i]->is_over()) {
      finish(*calls_[i]);
      calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void SttWorld::finish(SttCall& call) {
  for (const bool is_client : {true, false}) {
    SttEnd* const end = call.end(is_client);
    if (end == nullptr) continue;
    if (call.end(!is_client) != nullptr) judge(call, *end, *call.end(!is_client));
    counts_.streams += end->streams_opened;
    counts_.bytes += end->bytes_read;
    counts_.messages += end->messages_read;
    counts_.rotations += end->rotations;
    const auto& closed = end->closed();
    if (closed) ++(closed->code == 0 ? counts_.clean : counts_.broken);
    trace_.add(end->bytes_read);
  }
}

void SttWorld::judge(const SttCall& call, const SttEnd& end, const SttEnd& peer) {
  const auto& closed = end.closed();
  if (!closed || call.is_disturbed) return;
  const bool is_told = closed->code >= 256 &&
                       (closed->by_peer ? peer : end).close_code() == std::optional(closed->code);
  const bool is_cut = closed->fault.code == Errc::truncated && (call.is_rough || peer.is_over());
  if (closed->code == 0 || is_told || is_cut) return;
  end.print("end");
  peer.print("peer");
  throw Violation("a session ends for a reason, not with code " + std::to_string(closed->code));
}

void SttWorld::stall() {
  note(5, 0);
  SttCall* const call = any_call();
  if (call == nullptr) return;
  const Duration length = std::chrono::milliseconds(dice_.chance(10) ? dice_.between(1000, 120'000)
                                                                     : dice_.between(1, 900));
  if (length >= kLongStall) call->is_disturbed = true;
  if (dice_.chance(60)) call->up.stalled_until = now_ + length;
  if (dice_.chance(60)) call->down.stalled_until = now_ + length;
}

void SttWorld::cut() {
  note(6, 0);
  SttCall* const call = any_call();
  if (call == nullptr) return;
  call->is_disturbed = true;
  const bool is_reset = dice_.chance(50);
  for (SttLine* line : {&call->up, &call->down}) {
    if (dice_.chance(30)) continue;  // one direction alone
    if (is_reset) line->drop_all();
    line->is_ended = true;
    line->is_deaf = true;
  }
}

void SttWorld::tamper() {
  note(7, 0);
  SttCall* const call = any_call();
  if (call == nullptr) return;
  SttCall& other = *calls_[dice_.below(calls_.size())];
  const std::vector<Octets> seen = dice_.chance(50) ? other.up.seen() : other.down.seen();
  if (dice_.chance(15)) {
    other.is_disturbed = true;  // a HELLO that overtakes itself makes the true one a replay
    return attack(seen);
  }
  SttLine& line = dice_.chance(50) ? call->up : call->down;
  if (line.empty() || call->is_disturbed) return;  // once is enough
  call->is_disturbed = true;
  line.tamper(seen.empty() ? nullptr : &seen[dice_.below(seen.size())], dice_);
}

void SttWorld::attack(const std::vector<Octets>& seen) {
  if (dialed_ >= rates_.dials || calls_.size() > rates_.calls + 2 || seen.empty()) return;
  auto call = std::make_unique<SttCall>();
  call->is_attack = true;
  start(*call);
  if (dice_.chance(70)) {
    call->is_client_open = false;
    for (const Octets& message : seen) call->up.write(message);
    call->up.is_ended = true;
  } else {
    call->is_server_open = false;
    call->initiator.emplace(here_, stt::Transport::websocket, engine_, rng_, unix_ms(), now_);
    pump(*call, true);
    // Bounced its own bytes, or another connection's answers.
    const std::vector<Octets> own = call->up.seen();
    for (const Octets& message : dice_.chance(50) ? own : seen) call->down.write(message);
    call->down.is_ended = true;
  }
  calls_.push_back(std::move(call));
}

void SttWorld::settle() {
  for (auto& call : calls_) call->up.stalled_until = call->down.stalled_until = now_;
  const TimePoint limit = now_ + kSettleTime;
  while (!calls_.empty()) {
    if (now_ > limit) {
      for (const auto& call : calls_) {
        if (call->client) call->client->print("client");
        if (call->server) call->server->print("server");
      }
      throw Violation("all is done a minute after the last fault");
    }
    for (auto& call : calls_) settle_call(*call);
    now_ += 10ms;
    pass();
    for (const auto& call : calls_) {
      if (call->is_over()) require_completed(*call);
    }
    collect();
  }
}

void SttWorld::settle_call(SttCall& call) {
  for (const bool is_client : {true, false}) {
    SttEnd* const end = call.end(is_client);
    SttEnd* const peer = call.end(!is_client);
    if (end != nullptr && peer != nullptr && !end->is_over()) {
      end->finish_all(now_);
      end->read(*peer, false, now_);
      // Whoever dialled says when it is enough.
      if (is_client && end->all_streams_closed() && peer->all_streams_closed()) end->drain(now_);
    }
    deliver(call, !is_client, ~std::size_t{0}, true);
  }
  look_at(call);
}

void SttWorld::require_completed(const SttCall& call) {
  if (!call.client || !call.server || call.is_disturbed || call.is_rough) return;
  for (const auto& [end, peer] : {std::pair(call.client.get(), call.server.get()),
                                  std::pair(call.server.get(), call.client.get())}) {
    require(end->closed() && end->closed()->code == 0, "without faults a session ends well");
    end->check_complete(*peer);
  }
}

void SttWorld::note(std::uint64_t what, std::uint64_t detail) {
  trace_.add(what << 56U ^ detail << 32U ^
             static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

}  // namespace sealine::sim
