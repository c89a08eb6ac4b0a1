#include "snapshot/section.h"

#include <fmt/format.h>
#include <zstd.h>

#include "common/log.h"

namespace penumbra::snapshot {

struct Packer::Stream {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::vector<u8> buffer = std::vector<u8>(ZSTD_CStreamOutSize());
};

Packer::Packer(std::string name, u32 version) : stream_(std::make_unique<Stream>()) {
  PENUMBRA_ASSERT(!name.empty() && name.size() <= Section::kLongestName);
  section_.name = std::move(name);
  section_.version = version;
  ZSTD_CCtx_setParameter(stream_->context.get(), ZSTD_c_compressionLevel, 1);
}

Packer::~Packer() = default;

void Packer::compress(std::span<const u8> bytes, bool last) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (size_t left = 1; left != 0;) {
    ZSTD_outBuffer out{stream_->buffer.data(), stream_->buffer.size(), 0};
    left = ZSTD_compressStream2(stream_->context.get(), &out, &in,
                                last ? ZSTD_e_end : ZSTD_e_continue);
    PENUMBRA_ASSERT(!ZSTD_isError(left));
    auto* begin = stream_->buffer.data();
    section_.packed.insert(section_.packed.end(), begin, begin + out.pos);
    if (!last && in.pos == in.size) break;
  }
}

void Packer::append(std::span<const u8> bytes) {
  section_.size += bytes.size();
  compress(bytes, false);
}

Section Packer::finish() {
  compress({}, true);
  return std::move(section_);
}

struct Unpacker::Stream {
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), ZSTD_freeDCtx};
  ZSTD_inBuffer in;
  u64 left;
  bool frame_ended = false;
};

Unpacker::Unpacker(const Section& section) : stream_(std::make_unique<Stream>()) {
  stream_->in = {section.packed.data(), section.packed.size(), 0};
  stream_->left = section.size;
}

Unpacker::~Unpacker() = default;

bool Unpacker::read(std::span<u8> out_bytes) {
  if (out_bytes.size() > stream_->left) return false;
  stream_->left -= out_bytes.size();
  ZSTD_outBuffer out{out_bytes.data(), out_bytes.size(), 0};
  while (out.pos < out.size) {
    if (stream_->frame_ended) return false;
    size_t before_in = stream_->in.pos, before_out = out.pos;
    size_t hint = ZSTD_decompressStream(stream_->context.get(), &out, &stream_->in);
    if (ZSTD_isError(hint)) return false;
    stream_->frame_ended = hint == 0;
    if (stream_->in.pos == before_in && out.pos == before_out) return false;
  }
  return true;
}

bool Unpacker::finished() {
  u8 none = 0;
  ZSTD_outBuffer out{&none, 0, 0};
  if (!stream_->frame_ended) {
    stream_->frame_ended = ZSTD_decompressStream(stream_->context.get(), &out, &stream_->in) == 0;
  }
  return stream_->left == 0 && stream_->frame_ended && stream_->in.pos == stream_->in.size;
}

Section pack(std::string name, u32 version, std::span<const u8> bytes) {
  Packer packer(std::move(name), version);
  packer.append(bytes);
  return packer.finish();
}

std::expected<std::vector<u8>, std::string> unpack(const Section& section, u64 limit) {
  if (section.size > limit) {
    return std::unexpected(fmt::format("its section '{}' is implausibly large", section.name));
  }
  std::vector<u8> bytes(section.size);
  Unpacker unpacker(section);
  if (!unpacker.read(bytes) || !unpacker.finished()) {
    return std::unexpected(fmt::format("its section '{}' is damaged", section.name));
  }
  return bytes;
}

// A memory section is a list of runs {first page, pages, bytes...}, ended by a run of no pages.
namespace {

struct Run {
  u64 first, pages;
};

std::span<const u8> page_at(std::span<const u8> memory, u64 page) {
  return memory.subspan(page * kPageSize, kPageSize);
}

bool is_zero(std::span<const u8> page) {
  return page[0] == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

void append_run(Packer& packer, Run run) {
  packer.append({reinterpret_cast<const u8*>(&run), sizeof run});
}

void clear(std::span<u8> memory, u64 first, u64 end) {
  for (u64 page = first; page < end; ++page) {
    if (is_zero(page_at(memory, page))) continue;
    std::memset(memory.data() + page * kPageSize, 0, kPageSize);
  }
}

}  // namespace

Section pack_memory(std::string name, u32 version, std::span<const u8> memory) {
  PENUMBRA_ASSERT(memory.size() % kPageSize == 0);
  Packer packer(std::move(name), version);
  u64 pages = memory.size() / kPageSize;
  for (u64 page = 0; page < pages;) {
    u64 first = page;
    while (page < pages && !is_zero(page_at(memory, page))) ++page;
    if (page == first) {
      ++page;
      continue;
    }
    append_run(packer, {first, page - first});
    packer.append(memory.subspan(first * kPageSize, (page - first) * kPageSize));
  }
  append_run(packer, {pages, 0});
  return packer.finish();
}

bool unpack_memory(const Section& section, std::span<u8> memory) {
  Unpacker unpacker(section);
  u64 pages = memory.size() / kPageSize;
  for (u64 done = 0;;) {
    Run run;
    if (!unpacker.read({reinterpret_cast<u8*>(&run), sizeof run})) return false;
    if (run.first < done || run.first > pages || run.pages > pages - run.first) return false;
    clear(memory, done, run.first);
    if (run.pages == 0) return run.first == pages && unpacker.finished();
    if (!unpacker.read(memory.subspan(run.first * kPageSize, run.pages * kPageSize))) return false;
    done = run.first + run.pages;
  }
}

}  // namespace penumbra::snapshot
