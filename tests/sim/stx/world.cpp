#include "tests/sim/stx/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/judge.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/peer.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

StxWorld::StxWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                   const Keys& keys)
    : World(seed, 0x57c, events, inner), keys_(keys) {
  draw_rates(seed);
  auto config = std::make_shared<stx::ServerHandshakeConfig>();
  for (std::size_t i = 0; i < kPeers; ++i) config->psks.push_back(keys.psks[i]);
  config->parameters = {.max_block_log2 = stx::kMaxBlockLog2, .accepts_zstd = false};
  server_ = config;
}

void StxWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 3 == 0;
  rates_.tamper_permille = dice_.pick<unsigned>({0, 0, 4, 16});
  rates_.cut_permille = dice_.pick<unsigned>({0, 3, 10});
  rates_.stall_permille = dice_.pick<unsigned>({0, 0, 1, 5});
  rates_.crash_permille = dice_.pick<unsigned>({0, 0, 2, 5});
  change_permille_ = dice_.pick<unsigned>({0, 0, 3, 12});
  rot_permille_ = dice_.pick<unsigned>({0, 0, 3, 20});
  rates_.longest_stall_ms = 60'000;
  rates_.spared_percent = 20;
  rates_.pause_percent = 20;
  rates_.dials = 100;
  rates_.tick_percent = dice_.pick<unsigned>({2, 8, 20});
  lanes_ = dice_.between(1, 4);
  rates_.capacity = dice_.pick<std::size_t>({20'000, 65'536, 300'000});
  limits_.window_bytes =
      dice_.chance(50) ? stx::kWindowBytes : dice_.between(2, 12) * StxSource::kBlock;
  if (rates_.is_liveness || dice_.chance(50)) {
    limits_.keep_alive_after = 1500ms;
    limits_.silence_timeout = 5s;
  }
}

bool StxWorld::is_time_to_open() {
  return peers_.empty() || (peers_.size() < kPeers && dice_.chance(2));
}

void StxWorld::take_turn() {
  StxPeer& peer = *peers_[dice_.below(peers_.size())];
  if (peer.lanes.empty()) return tick();
  StxLane& lane = *peer.lanes[dice_.below(peer.lanes.size())];
  const std::size_t what = dice_.below(20);
  if (what < 9) {
    to_server(peer, lane, draw_piece(lane.up.size(), {30, 20'000}), false);
  } else if (what < 17) {
    to_client(peer, lane, draw_piece(lane.down.size(), {30, 20'000}), false);
  } else if (what < 19) {
    work();
  } else if (peer.sending->has_session() && peer.lanes.size() < lanes_ && may_dial()) {
    dial(peer);
  }
  look_at(peer);
}

void StxWorld::open() {
  // Each is known by its key; a stranger now and then.
  std::size_t psk = dice_.chance(4) ? kPeers : dice_.below(kPeers);
  if (std::ranges::any_of(peers_, [&](const auto& one) { return one->psk == psk; })) {
    return tick();
  }
  auto peer = std::make_unique<StxPeer>();
  peer->psk = psk;
  peer->is_known = psk < kPeers;
  peer->name = "p" + std::to_string(++arrived_);
  std::vector<StxSource> sources;
  for (std::size_t i = dice_.between(1, 6); i-- > 0;) sources.push_back(sources_.draw(i));
  peer->sending = std::make_unique<StxSending>(std::move(sources), limits_, engine_, book_);
  rng_.fill(peer->transfer);
  peer->retry_at = now_;
  peers_.push_back(std::move(peer));
}

void StxWorld::pass() {
  for (auto& peer : peers_) {
    fire(*peer->sending, now_);
    for (auto& lane : peer->lanes) {
      if (now_ - lane->opened < limits_.handshake_timeout) continue;
      if (!lane->server.opening && lane->server.is_open) close_server(*lane);
      if (!lane->client.opening && lane->client.is_open) close_client(*peer, *lane);
    }
    const bool is_idle =
        !peer->sending->has_session() &&
        std::ranges::none_of(peer->lanes, [](const auto& lane) { return lane->client.is_open; });
    if (is_idle && !peer->sending->is_done() && peer->retry_at <= now_ && may_dial()) {
      dial(*peer);
    }
  }
  for (auto& session : sessions_) fire(*session.receiving, now_);
  for (auto& peer : peers_) look_at(*peer);
}

void StxWorld::work() {
  note(3, 0);
  if (sessions_.empty()) return;
  StxReceiving& receiving = *sessions_[dice_.below(sessions_.size())].receiving;
  receiving.work(now_);
  if (dice_.chance(30)) receiving.commit();
  receiving.pump(now_);
}

void StxWorld::dial(StxPeer& peer) {
  note(4, peer.lanes.size());
  stx::LaneId number = 0;
  const auto is_taken = [&peer](stx::LaneId one) {
    return std::ranges::any_of(
        peer.lanes, [&](const auto& lane) { return lane->client.is_open && lane->number == one; });
  };
  while (is_taken(number)) ++number;
  if (number == 0) {
    rng_.fill(peer.transfer);
    peer.is_disturbed = false;
  }
  auto lane = std::make_unique<StxLane>();
  lane->number = number;
  lane->opened = now_;
  lane->set_capacity(rates_.capacity);
  auto client = stx::ClientHandshake::create(
      keys_.psks[peer.psk], {.lane = number, .transfer = peer.transfer}, engine_, rng_, {});
  require(client.has_value(), "a sender can be made");
  lane->client.handshake.emplace(std::move(*client));
  serve(*lane);
  ++dialed_;
  peer.lanes.push_back(std::move(lane));
}

void StxWorld::serve(StxLane& lane) {
  auto server = stx::ServerHandshake::create(server_, nonces_, engine_, rng_, {});
  require(server.has_value(), "a receiver can be made");
  lane.server.handshake.emplace(std::move(*server));
  lane.server.say(lane.down);
}

void StxWorld::to_server(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always) {
  Pipe& pipe = lane.up;
  note(5, pipe.size());
  if (!is_always && pipe.stalled_until > now_) return;
  if (!lane.server.is_open) return pipe.drop_all();
  trace_.add(pipe.front(std::min<std::size_t>(count, 64)));
  lane.server.take_from(pipe, count);
  if (!lane.server.opening) {
    const auto is_done = lane.server.shake(lane.down, now_);
    if (!is_done) return close_server(lane);
    if (*is_done) opened_at_server(peer, lane);
  }
  while (lane.server.is_up()) {
    const auto size = lane.server.whole_frame(stx::Side::client);
    StxSession* const session = session_of(lane);
    if (!size || session == nullptr) return close_server(lane);
    if (*size == 0) break;
    const bool is_good =
        session->receiving->handle_frame(lane, lane.server.inbox.rest().first(*size), now_);
    lane.server.inbox.take(*size);
    session->receiving->pump(now_);
    judge(*session);
    if (!is_good) return close_server(lane);
    if (session->receiving->over()) return end(*session);
  }
  if (pipe.size() == 0 && pipe.is_ended) close_server(lane);
}

void StxWorld::opened_at_server(StxPeer& peer, StxLane& lane) {
  require(peer.is_known, "a stranger opens nothing");
  require(lane.client.is_open || lane.client.handshake.has_value(),
          "an attacker's bytes open nothing");
  require(lane.server.consumed <= lane.up.good_bytes,
          "no handshake that was changed on its way is taken as good");
  require(lane.server.opening->psk_index == peer.psk, "a sender is known by its key");
  join(peer, lane);
}

void StxWorld::join(StxPeer& peer, StxLane& lane) {
  const auto& said = lane.server.opening->client;
  require(said.lane == lane.number, "a lane has its number");
  ++sums_.lanes;
  if (lane.number != 0) {
    for (auto& session : sessions_) {
      if (session.peer == &peer && session.transfer == said.transfer) {
        if (StxLane* const old = session.receiving->find(lane.number)) close_server(*old);
        return session.receiving->lane_opened(lane, now_);
      }
    }
    return close_server(lane);  // unknown: its session is over
  }
  // The newer session of a sender wins.
  for (std::size_t i = sessions_.size(); i-- > 0;) {
    if (sessions_[i].peer != &peer) continue;
    sessions_[i].receiving->work_all(now_);
    sessions_[i].receiving->close(stx::Code::superseded);
    sessions_[i].receiving->pump(now_);
    end(sessions_[i]);
  }
  ++sums_.sessions;
  sessions_.push_back({.receiving = std::make_unique<StxReceiving>(
                           limits_, peer.name, disk_, engine_, book_, Dice(dice_.next()), now_),
                       .peer = &peer,
                       .transfer = said.transfer});
  sessions_.back().receiving->add(lane);
}

void StxWorld::to_client(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always) {
  Pipe& pipe = lane.down;
  note(6, pipe.size());
  if (!is_always && pipe.stalled_until > now_) return;
  if (!lane.client.is_open) return pipe.drop_all();
  trace_.add(pipe.front(std::min<std::size_t>(count, 64)));
  lane.client.take_from(pipe, count);
  if (!lane.client.opening) {
    const auto is_done = lane.client.shake(lane.up, now_);
    if (!is_done) return close_client(peer, lane);
    if (*is_done) opened_at_client(peer, lane);
  }
  while (lane.client.is_up()) {
    const auto size = lane.client.whole_frame(stx::Side::server);
    if (!size) return close_client(peer, lane);
    if (*size == 0) break;
    const bool is_good =
        peer.sending->handle_frame(lane, lane.client.inbox.rest().first(*size), now_);
    if (!lane.client.is_open) return;
    lane.client.inbox.take(*size);
    peer.sending->pump(peer.lanes, now_);
    if (!is_good) return close_client(peer, lane);
  }
  if (pipe.size() == 0 && pipe.is_ended) close_client(peer, lane);
}

void StxWorld::opened_at_client(StxPeer& peer, StxLane& lane) {
  require(peer.is_known, "a stranger opens nothing");
  require(lane.client.consumed <= lane.down.good_bytes,
          "no handshake that was changed on its way is taken as good");
  if (lane.number == 0) {
    peer.sending->begin(now_);
  } else if (peer.sending->has_session()) {
    peer.sending->lane_opened(lane.number, now_);
  } else {
    return close_client(peer, lane);
  }
  peer.sending->pump(peer.lanes, now_);
}

void StxWorld::close_server(StxLane& lane) {
  if (!lane.server.is_open) return;
  lane.close(false);
  StxSession* const session = session_of(lane);
  if (session == nullptr) return;
  session->receiving->lane_ended(lane, now_);
  if (session->receiving->over()) end(*session);
}

void StxWorld::close_client(StxPeer& peer, StxLane& lane) {
  if (!lane.client.is_open) return;
  lane.close(true);
  if (lane.client.opening && peer.sending->has_session()) {
    peer.sending->lane_ended(lane.number, now_);
    peer.sending->pump(peer.lanes, now_);
  }
  if (lane.number == 0 && !peer.sending->has_session()) try_again(peer);
}

void StxWorld::try_again(StxPeer& peer) {
  const Duration pause = std::min(kRetry * (1U << std::min(peer.failures, 5U)), kLongestRetry);
  ++peer.failures;
  peer.retry_at = now_ + pause / 2 + std::chrono::milliseconds(dice_.below(100));
}

StxSession* StxWorld::session_of(const StxLane& lane) {
  for (auto& session : sessions_) {
    if (std::ranges::find(session.receiving->lanes(), &lane) != session.receiving->lanes().end()) {
      return &session;
    }
  }
  return nullptr;
}

void StxWorld::end(StxSession& session) {
  sums_.damaged += session.receiving->damaged;
  const std::vector<StxLane*> lanes = session.receiving->lanes();
  const StxReceiving* const gone = session.receiving.get();
  std::erase_if(sessions_, [&](const StxSession& one) { return one.receiving.get() == gone; });
  for (StxLane* lane : lanes) close_server(*lane);
}

void StxWorld::look_at(StxPeer& peer) {
  StxSending& sending = *peer.sending;
  sending.pump(peer.lanes, now_);
  for (const stx::LaneId number : sending.take_silent()) {
    for (auto& lane : peer.lanes) {
      if (lane->client.is_open && lane->number == number) close_client(peer, *lane);
    }
  }
  for (const stx::ItemId item : sending.take_finished()) judge_delivered(peer, item);
  for (const auto& lane : peer.lanes) {
    peer.is_disturbed = peer.is_disturbed || lane->up.is_tampered || lane->down.is_tampered;
  }
  if (sending.over()) {
    const stx::Code code = sending.over()->code;
    require(code != stx::Code::protocol || peer.is_disturbed, "no fault between honest ends");
    // A damaged head shifts the numbers of the frames behind it, and a CLOSE of one lane may come
    // before the NAK of another.
    require(code == stx::Code::normal || code == stx::Code::line_damage ||
                code == stx::Code::superseded || code == stx::Code::protocol,
            "a session ends for a reason");
    require(code != stx::Code::normal || sending.is_done(), "a session that is done is done");
    sending.forget_session();
    for (auto& lane : peer.lanes) close_client(peer, *lane);
    try_again(peer);
  }
  for (std::size_t i = sessions_.size(); i-- > 0;) {
    StxSession& session = sessions_[i];
    if (session.peer != &peer) continue;
    session.receiving->pump(now_);
    judge(session);
    for (const stx::LaneId number : session.receiving->take_silent()) {
      if (StxLane* const lane = session.receiving->find(number)) close_server(*lane);
    }
    if (session.receiving->over()) end(session);
  }
  std::erase_if(peer.lanes, [](const auto& lane) { return lane->is_closed(); });
}

void StxWorld::judge(StxSession& session) {
  const bool is_present = session.transfer == session.peer->transfer;
  for (const auto& begun : session.receiving->take_begun()) {
    if (is_present) judge_begun(begun, *session.peer->sending, disk_);
  }
}

void StxWorld::judge_delivered(const StxPeer& peer, stx::ItemId item) {
  trace_.add(sim::judge_delivered(*peer.sending, item, peer.name, disk_));
  ++sums_.delivered;
}

void StxWorld::count(const StxPeer& peer) {
  sums_.blocks += peer.sending->blocks_sent;
  sums_.proved += peer.sending->resumed;
  for (const auto& source : peer.sending->sources) {
    if (source.failed) ++sums_.given_up;
  }
}

bool StxWorld::is_over(const StxPeer& peer) const {
  const bool has_session = std::ranges::any_of(
      sessions_, [&](const StxSession& session) { return session.peer == &peer; });
  const bool is_hopeless = !peer.is_known && peer.failures > 0;
  return !peer.sending->has_session() && peer.lanes.empty() && !has_session &&
         (peer.sending->is_done() || is_hopeless);
}

void StxWorld::collect() {
  take_away(
      peers_, [this](const StxPeer& peer) { return is_over(peer); },
      [this](const StxPeer& peer) {
        count(peer);
        std::erase_if(disk_,
                      [&](const auto& entry) { return entry.first.starts_with(peer.name + "/"); });
      });
}

void StxWorld::finish_all() {
  for (auto& peer : peers_) count(*peer);
}

StxLane* StxWorld::any_lane() {
  if (peers_.empty()) return nullptr;
  StxPeer& peer = *peers_[dice_.below(peers_.size())];
  return peer.lanes.empty() ? nullptr : peer.lanes[dice_.below(peer.lanes.size())].get();
}

std::optional<World::Target> StxWorld::draw_target() {
  StxLane* const lane = any_lane();
  if (lane == nullptr) return std::nullopt;
  return Target{.up = &lane->up, .down = &lane->down};
}

bool StxWorld::other_fault(Roll& roll) {
  if (roll.hits(change_permille_)) {
    change();
  } else if (roll.hits(rot_permille_)) {
    rot();
  } else {
    return false;
  }
  return true;
}

void StxWorld::tamper() {
  StxLane* lane = any_lane();
  const StxLane* const other = any_lane();
  // Where something is on its way, if anywhere.
  for (int i = 0; i < 8 && lane != nullptr && lane->up.size() + lane->down.size() == 0; ++i) {
    lane = any_lane();
  }
  if (lane == nullptr || other == nullptr) return;
  Pipe& pipe = lane->up.size() != 0 && dice_.chance(70) ? lane->up : lane->down;
  if (pipe.size() == 0) return;
  if (dice_.chance(60)) {
    pipe.damage(dice_);
  } else {
    sim::tamper(pipe, dice_.chance(50) ? other->up.seen() : other->down.seen(), dice_);
  }
}

void StxWorld::crash() {
  ++sums_.crashes;
  if (dice_.chance(30) && !peers_.empty()) {
    StxPeer& peer = *peers_[dice_.below(peers_.size())];
    for (auto& lane : peer.lanes) close_client(peer, *lane);
    peer.sending->forget_session();
    return;
  }
  for (auto& peer : peers_) {
    for (auto& lane : peer->lanes) {
      lane->close(false);
      if (dice_.chance(50)) lane->down.drop_all();
    }
  }
  sessions_.clear();
  for (auto& [name, file] : disk_) file.crash(dice_);
}

void StxWorld::change() {
  note(11, 0);
  if (peers_.empty()) return;
  StxPeer& peer = *peers_[dice_.below(peers_.size())];
  StxSource& source = peer.sending->sources[dice_.below(peer.sending->sources.size())];
  if (source.is_done || source.failed || source.is_stream || !source.pack.empty()) return;
  source.was_changed = true;
  source.durable = 0;
  if (dice_.chance(40) && !source.content.empty()) {
    // Neither size nor time shows it.
    source.content[dice_.below(source.content.size())] ^= 0x40;
    return;
  }
  ++source.version;
  sources_.fill(source, dice_.below(source.content.size() + 2 * StxSource::kBlock));
}

void StxWorld::rot() {
  note(12, 0);
  if (disk_.empty()) return;
  auto entry = disk_.begin();
  std::advance(entry, static_cast<std::ptrdiff_t>(dice_.below(disk_.size())));
  StxFile& file = entry->second;
  // What is being written now is the receiver's own.
  const bool is_open = std::ranges::any_of(sessions_, [&](const StxSession& session) {
    return entry->first.starts_with(session.receiving->peer() + "/");
  });
  if (file.is_finished || file.is_pack || is_open || file.part.empty()) return;
  file.was_harmed = true;
  if (dice_.chance(70)) {
    const std::size_t at = dice_.below(file.part.size());
    file.part[at] ^= 0x01;
    if (at < file.safe.size()) file.safe[at] ^= 0x01;
  } else {
    file.have = static_cast<std::uint32_t>(dice_.below(20));
  }
}

void StxWorld::calm() {
  for (auto& peer : peers_) {
    for (auto& lane : peer->lanes) lane->go_on(now_);
  }
}

void StxWorld::settle_turn() {
  for (auto& peer : peers_) {
    for (std::size_t k = 0; k < peer->lanes.size(); ++k) {
      to_server(*peer, *peer->lanes[k], peer->lanes[k]->up.size(), true);
      to_client(*peer, *peer->lanes[k], peer->lanes[k]->down.size(), true);
    }
  }
  for (auto& session : sessions_) {
    session.receiving->work_all(now_);
    session.receiving->commit();
    session.receiving->pump(now_);
  }
}

void StxWorld::print() const {
  for (const auto& peer : peers_) {
    std::printf("  %s: %s, %zu lanes, %u failures\n", peer->name.c_str(),
                peer->sending->has_session() ? "in session" : "without a session",
                peer->lanes.size(), peer->failures);
    peer->sending->print_sources();
  }
}

World::Counts StxWorld::counts() const {
  return {{"sessions", sums_.sessions},
          {"lanes", sums_.lanes},
          {"sources delivered", sums_.delivered},
          {"given up", sums_.given_up},
          {"blocks", sums_.blocks},
          {"proved", sums_.proved},
          {"damaged", sums_.damaged},
          {"crashes", sums_.crashes},
          {"keys", book_.count()}};
}

}  // namespace sealine::sim
