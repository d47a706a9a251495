#include "io/stx/open_batch.hpp"

#include "io/stx/compression.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/tree.hpp"

#include <algorithm>

namespace sealine::io::stx {

namespace core = sealine::stx;

namespace {

std::uint64_t offset_of(const InFrame& in) {
  return static_cast<std::uint64_t>(in.slot.head.sequence) << in.slot.block_log2;
}

void write(InFrame& in, ByteView block) {
  const auto written = in.item->incoming->write(offset_of(in), block);
  if (!written) in.write_error = written.error();
}

}  // namespace

bool OpenBatch::fault(Verdict how, const Error& why) {
  verdict = how;
  error = why;
  return false;
}

bool OpenBatch::open(crypto::Engine& engine, InFrame& in, std::vector<ByteView>& framed,
                     std::vector<std::size_t>& owners) {
  const auto plain =
      core::open_frame(engine, keys->receive, in.slot.counter, in.slot.item, in.frame);
  if (!plain) return fault(Verdict::forged, plain.error());
  if (!in.item) return true;
  const auto form = core::Receiver::block_form(in.slot, plain->size());
  if (!form) return fault(Verdict::illegal, form.error());
  switch (*form) {
    case core::BlockForm::as_is:
      in.block_bytes = static_cast<std::uint32_t>(plain->size());
      break;
    case core::BlockForm::padded: {
      in.block_bytes = in.slot.block_bytes;
      const auto padding = plain->subspan(in.block_bytes);
      if (std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) {
        return fault(Verdict::illegal, {Errc::protocol_broken});
      }
      break;
    }
    case core::BlockForm::zstd: {
      thread_local BlockDecompressor decompressor;
      thread_local std::vector<std::uint8_t> block;
      block.resize(in.slot.block_bytes + std::size_t{1});
      block[0] = core::kLeafPrefix;
      const MutableBytes whole = MutableBytes(block).subspan(1);
      if (const auto done = decompressor.decompress(*plain, whole); !done) {
        return fault(Verdict::illegal, done.error());
      }
      in.block_bytes = in.slot.block_bytes;
      engine.sha256({ByteView(block)}, in.leaf);
      write(in, whole);
      return true;
    }
  }
  // The head has been read: its last byte becomes the 00 before the leaf.
  std::uint8_t* const prefix = plain->data() - 1;
  *prefix = core::kLeafPrefix;
  framed.emplace_back(prefix, in.block_bytes + std::size_t{1});
  owners.push_back(static_cast<std::size_t>(&in - frames.data()));
  return true;
}

void OpenBatch::run(crypto::Engine& engine) {
  std::vector<ByteView> framed;
  std::vector<std::size_t> owners;
  framed.reserve(frames.size());
  owners.reserve(frames.size());
  while (opened < frames.size() && open(engine, frames[opened], framed, owners)) ++opened;
  if (framed.empty()) return;
  std::vector<core::Hash> leaves(framed.size());
  engine.sha256_many(framed, leaves);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    InFrame& in = frames[owners[i]];
    in.leaf = leaves[i];
    write(in, framed[i].subspan(1));
  }
}

}  // namespace sealine::io::stx
