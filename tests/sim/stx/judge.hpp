#pragma once

#include "tests/sim/base/violation.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace sealine::sim {

/// No block counts as proved that the sender has not, and none is asked for that was durable.
inline void judge_begun(const StxReceiving::Begun& begun, StxSending& sending,
                        const StxDisk& disk) {
  const auto found = sending.items.find(begun.item);
  if (found == sending.items.end()) return;
  const Octets& image = found->second.image;
  StxSource& source = sending.sources[found->second.source];
  const StxFile& file = disk.at(begun.file);
  const std::size_t bytes = std::min(std::size_t{begun.start} * StxSource::kBlock, image.size());
  require(bytes <= file.part.size() &&
              std::equal(file.part.begin(), file.part.begin() + static_cast<std::ptrdiff_t>(bytes),
                         image.begin()),
          "what counts as proved is what the sender has");
  // What rotted on the disk is lost, however durable it was.
  if (begun.was_harmed) source.durable = std::min(source.durable, begun.start);
  require(source.was_changed || source.is_stream || begun.start >= source.durable,
          "what was durable is not asked for again");
}

/// What the sender was told is done; gives its size.
inline std::size_t judge_delivered(const StxSending& sending, stx::ItemId number,
                                   const std::string& peer, const StxDisk& disk) {
  const auto& item = sending.items.at(number);
  const StxSource& source = sending.sources[item.source];
  const StxFile& file = disk.at(StxReceiving::file_name(peer, source.meta()));
  require(file.is_finished, "what is done is in its place");
  require(file.part == item.image, "what is delivered is what was read");
  require(source.was_changed || item.image == source.content, "what is delivered is the source");
  return file.part.size();
}

}  // namespace sealine::sim
