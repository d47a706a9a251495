#include "io/stx/seal_batch.hpp"

#include "io/stx/compression.hpp"
#include "sealine/stx/tree.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;

void SealBatch::add(crypto::Engine& engine, const core::ControlFrame& frame) {
  const std::size_t bytes = frame.head.frame_bytes();
  const MutableBytes whole = out->slab.bytes().subspan(used, bytes);
  if (!frame.plaintext.empty()) {
    std::memcpy(whole.data() + core::kFrameHeadBytes, frame.plaintext.data(),
                frame.plaintext.size());
  }
  core::seal_frame(engine, keys->send, frame.counter, frame.head, 0, whole);
  pieces.push_back({used, bytes, std::nullopt});
  used += bytes;
}

void SealBatch::add(BlockJob job) {
  job.place = used;
  pieces.push_back({used, 0, blocks.size()});
  used += job.order.block_bytes + core::kFrameOverheadBytes;
  blocks.push_back(std::move(job));
}

void SealBatch::run(crypto::Engine& engine) {
  std::uint8_t* const slab = out->slab.data();
  std::vector<ByteView> framed;
  framed.reserve(blocks.size());
  for (BlockJob& job : blocks) {
    const MutableBytes plain(slab + job.place + core::kFrameHeadBytes, job.order.block_bytes);
    Result<> read = job.item->content->read(job.offset, plain);
    // Looked at after its last block, so that what was read before is covered too.
    if (read && job.is_last) read = job.item->content->check_unchanged();
    if (!read) {
      job.error = read.error();
      std::ranges::fill(plain, std::uint8_t{0});
    }
    job.size_bytes = plain.size();
    slab[job.place + core::kFrameHeadBytes - 1] = core::kLeafPrefix;
    framed.emplace_back(plain.data() - 1, plain.size() + 1);
  }
  if (!framed.empty()) {
    std::vector<core::Hash> leaves(framed.size());
    engine.sha256_many(framed, leaves);
    for (std::size_t i = 0; i < leaves.size(); ++i) blocks[i].leaf = leaves[i];
  }

  thread_local BlockCompressor compressor;
  thread_local std::vector<std::uint8_t> scratch;
  for (BlockJob& job : blocks) {
    if (!job.try_compression || job.error) continue;
    const MutableBytes plain(slab + job.place + core::kFrameHeadBytes, job.order.block_bytes);
    scratch.resize(plain.size());
    const auto shorter = compressor.compress(plain, scratch);
    if (!shorter || *shorter >= plain.size()) continue;
    std::memcpy(plain.data(), scratch.data(), *shorter);
    job.size_bytes = *shorter;
  }

  for (const Piece& piece : pieces) {
    if (!piece.block) {
      out->add({slab + piece.place, piece.bytes});
      continue;
    }
    const BlockJob& job = blocks[*piece.block];
    const core::FrameHead head{job.order.block, static_cast<std::uint32_t>(job.size_bytes)};
    const MutableBytes whole(slab + job.place, head.frame_bytes());
    core::seal_frame(engine, keys->send, job.order.counter, head, job.order.item, whole);
    out->add(whole);
  }
}

}  // namespace sealine::io::stx
