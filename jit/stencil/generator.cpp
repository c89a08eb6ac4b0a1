// The layout of a block: straight code, then calls of slow paths, landings and exits.
#include "jit/stencil/generator.h"

#include <algorithm>
#include <cstring>

#include "common/log.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {

using translator::kNoSlot;
using translator::Op;

namespace {

/// As it stays with the block: without room for more.
template <class T>
std::unique_ptr<T[]> kept(const std::vector<T>& list) {
  if (list.empty()) return nullptr;
  auto copy = std::make_unique_for_overwrite<T[]>(list.size());
  std::ranges::copy(list, copy.get());
  return copy;
}

constexpr u8 kCall = 0xe8, kPushRdx = 0x52, kPopRdx = 0x5a;
/// More than any stencil with its cold code; the asserted room of a micro-op.
constexpr u32 kMostBytesPerOp = 768, kMostBytesPerBlock = 2048;

}  // namespace

u32 Generator::most_bytes(const translator::Block& ir) {
  return static_cast<u32>(ir.ops.size()) * kMostBytesPerOp + kMostBytesPerBlock;
}

std::unique_ptr<NativeBlock> Generator::generate(CodeSource::Translated&& translated,
                                                 CodeMemory& memory) {
  auto block = std::make_unique<NativeBlock>();
  u32 most = most_bytes(translated.ir);
  memory_ = &memory;
  block_ = block.get();
  ir_ = &translated.ir;
  page_ = translated.place.key.code - translated.ir.start;
  begin_ = out_ = memory.writable(most);
  sites_.clear();
  programs_.clear();
  cold_lookups_.clear();
  cold_calls_.clear();
  exits_.clear();
  site_patches_.clear();
  far_patches_.clear();
  unit_marks_.clear();
  held_vectors_.clear();
  unit_mark_ = Site::kNoMark;
  held_.fill(kNoSlot);
  comparison_.reset();
  host_flags_ = 0;
  tenants_ = kResidents;
  vectors_.fill({});
  instruction_ = 0;
  cold_flags_ = nullptr;
  skipped_check_ = unchecked_target_ = false;
  zero_used_ = nullptr;
  block->memory = &memory;
  block->code = memory.executable(out_);

  mark(CodeMark::Part::Entry);
  arrive(translated.ir.start);
  block->start.code = memory.executable(out_);
  enter();
  entry_exits_ = continuations(HoleKind::Exit);
  if (translated.ir.crosses_page) check_second_page();
  anchors_ = anchor_plan_.make(translated.ir);
  open_anchors_ = 0;
  choose_lodgers();
  take_lodgers();
  choose_loop_vectors();
  take_loop_vectors();
  body_ = out_;
  loop_jumps_.clear();
  loop_exits_ = {};
  std::span<const MicroOp> ops = translated.ir.ops;
  for (size_t i = 0; i < ops.size(); ++i) {
    mark(CodeMark::Part::MicroOp, i);
    next_ = i + 1 < ops.size() ? &ops[i + 1] : nullptr;
    if (ops[i].op == Op::GetCondition && with_condition(ops[i], ops[i + 1])) {
      ++i;
      continue;
    }
    if (!translator::is_branch(ops[i].op)) {
      if (translator::ends_block(ops[i].op) && !loops(ops[i])) give_back();
      lower(ops[i]);
      continue;
    }
    if (translator::goes_on_behind(ops[i], ops[i + 1])) {
      branch(ops[i], nullptr);
    } else {
      if (!loops(ops[i]) && !loops(ops[i + 1])) give_back();
      branch(ops[i], &ops[i + 1]);
      ++i;
    }
  }
  finish(std::move(translated));
  PENUMBRA_ASSERT(out_ <= begin_ + most);
  block->size = static_cast<u32>(out_ - begin_);
  memory.commit(block->size);
  return block;
}

/// Charges the block's instructions.
void Generator::enter() {
  must_emit({.op = code_of(Special::Enter), .writes_left = true},
            {.immediate = ir_->instructions.size()});
}

/// Where the page is linear, what was seen under a key holds for it.
void Generator::check_second_page() {
  CodeMode mode = ir_->mode;
  bool by_key =
      mode.is_long() || (mode.has(CodeMode::kFlatSegments) && mode.size() == CodeSize::Bits32);
  u32 site = new_site({}, Site::Kind::NextPage);
  if (!by_key) return call_slow(site);
  must_emit({.op = code_of(Special::FarLink), .wide = true},
            {.immediate = reinterpret_cast<u64>(&block_->second_page)});
  cold_call(site, out_);
}

/// Everything behind the straight code; addresses of records become known.
void Generator::finish(CodeSource::Translated&& translated) {
  held_.fill(kNoSlot);
  vectors_.fill({});
  tenants_ = kResidents;
  mark(CodeMark::Part::Again);
  emit_loop_entry();
  block_->sites = std::make_unique<Site[]>(sites_.size());
  block_->site_count = static_cast<u32>(sites_.size());
  if (!programs_.empty()) block_->programs = std::make_unique<Uop[]>(programs_.size() * 2);
  mark(CodeMark::Part::SlowPaths);
  emit_cold_lookups();
  emit_cold_calls();
  mark(CodeMark::Part::Exits);
  emit_exits();
  mark(CodeMark::Part::Leaving);
  emit_entry_exits();

  block_->place = std::move(translated.place);
  block_->offset = translated.ir.start;
  block_->mode = translated.ir.mode;
  block_->instruction_count = static_cast<u16>(translated.ir.instructions.size());
  block_->instructions = kept(translated.ir.instructions);
  block_->calls = kept(translated.ir.calls);
  block_->unit_marks = kept(unit_marks_);
  block_->held_vectors = kept(held_vectors_);
  for (size_t i = 0; i < programs_.size(); ++i) {
    block_->programs[2 * i] = interpreted(programs_[i]);
    block_->programs[2 * i + 1] = {.handler = return_handler()};
  }
  for (size_t i = 0; i < sites_.size(); ++i) {
    Site& site = block_->sites[i] = sites_[i];
    site.owner = block_;
    if (site.kind == Site::Kind::Call) site.call = &block_->calls[site.immediate];
    if (site.kind == Site::Kind::Execute) site.program = &block_->programs[2 * site.immediate];
  }
}

void Generator::mark(CodeMark::Part part, size_t op) {
  if (marks_ == nullptr) return;
  marks_->push_back({part, static_cast<u32>(out_ - begin_), static_cast<u32>(op)});
}

// -- bytes
// ---------------------------------------------------------------------------------------------

void Generator::bytes(std::initializer_list<u8> values) {
  host_flags_ = 0;
  for (u8 value : values) *out_++ = value;
}

template <class T>
void Generator::word(T value) {
  std::memcpy(out_, &value, sizeof value);
  out_ += sizeof value;
}

u8* Generator::open_jump(u8 opcode) {
  bytes({opcode, 0, 0, 0, 0});
  return out_ - 4;
}

void Generator::jump_to(const u8* executable) {
  u8* field = open_jump(kJump);
  jit::link(field, reinterpret_cast<u64>(memory_->executable(field)),
            reinterpret_cast<u64>(executable));
}

void Generator::connect(u8* field, const u8* writable_target) {
  jit::link(field, reinterpret_cast<u64>(field), reinterpret_cast<u64>(writable_target));
}

// -- slow paths
// ----------------------------------------------------------------------------------------

u32 Generator::new_site(const MicroOp& op, Site::Kind kind) {
  sites_.push_back({.owner = nullptr,
                    .immediate = op.immediate,
                    .kind = kind,
                    .width = op.width,
                    .segment = op.segment,
                    .flags_before = op.flags_before,
                    .instruction = op.instruction,
                    .unit_mark = unit_mark_});
  return static_cast<u32>(sites_.size() - 1);
}

void Generator::call_slow(u32 site) { call_slow(site, thunk_of(sites_[site])); }

const u8* Generator::thunk_of(const Site& site) const {
  return site.kind == Site::Kind::ExplicitFlags ? thunks_.make_flags : thunks_.slow;
}

/// movabs rax, site; call thunk
void Generator::call_slow(u32 site, const u8* thunk) {
  bool has_lodgers = tenants_ != kResidents;
  give_back();
  bytes({0x48, 0xb8});
  site_patches_.push_back({out_, site});
  word<u64>(0);
  u8* field = open_jump(kCall);
  jit::link(field, reinterpret_cast<u64>(memory_->executable(field)), reinterpret_cast<u64>(thunk));
  if (has_lodgers) take_lodgers();
}

void Generator::cold_call(u32 site, u8* resume) {
  list_vectors(sites_[site]);
  cold_calls_.push_back({continuations(HoleKind::Slow), resume, site, cold_flags_});
  cold_calls_.back().tenants = tenants_;
}

/// jz resume; then the store, which the slow path has left to do, to the host address in rdx
void Generator::harmless_store(const ColdCall& cold) {
  bytes({0x0f, 0x84, 0, 0, 0, 0});
  connect(out_ - 4, cold.resume);
  Operands operands{.a = {Form::Register, Host::Rdx, kNoSlot},
                    .c = cold.store->c,
                    .immediate = cold.store->immediate};
  Special special = operands.c.is_vector ? Special::StoreVectorAt : Special::StoreAt;
  StencilKey key{.op = code_of(special),
                 .width = sites_[cold.site].width,
                 .a = Form::Register,
                 .c = operands.c.form};
  const Stencil* stencil = stencils_.find(key.encode());
  PENUMBRA_ASSERT(stencil != nullptr && fits(*stencil, operands));
  copy_stencil(*stencil, operands);
}

void Generator::emit_cold_calls() {
  for (const ColdCall& cold : cold_calls_) {
    for (u8* field : cold.from) connect(field, out_);
    tenants_ = cold.tenants;
    if (cold.flags != nullptr) {
      bytes({kPushRdx});  // the linear address
      make_flags(*cold.flags);
      bytes({kPopRdx});
    }
    if (cold.popped != 0) {  // lea rbp, [rbp - popped]
      bytes({0x48, 0x8d, 0xad});
      word<i32>(-cold.popped);
    }
    const u8* thunk = cold.thunk != nullptr ? cold.thunk : thunk_of(sites_[cold.site]);
    call_slow(cold.site, cold.store ? thunks_.slow_store : thunk);
    if (cold.store) harmless_store(cold);
    connect(open_jump(kJump), cold.resume);
  }
  for (const Patch& patch : site_patches_) {
    u64 address = reinterpret_cast<u64>(&block_->sites[patch.value]);
    std::memcpy(patch.field, &address, sizeof address);
  }
}

// -- exits
// ---------------------------------------------------------------------------------------------

u32 Generator::new_exit(u64 offset) {
  exits_.push_back({.offset = offset});
  return static_cast<u32>(exits_.size() - 1);
}

/// The jump itself, here; an exit to another page asks its cache first.
void Generator::exit_jump(u32 index) {
  Exit& exit = exits_[index];
  if (exit.offset >= kPageSize) {
    must_emit({.op = code_of(Special::FarLink), .wide = true}, {});
    far_patches_.push_back({immediate_field(), index});
    exit.far_misses = continuations(HoleKind::Slow);
  }
  exit.field = open_jump(kJump);
}

/// The jump to the block's own start, with the registers as they are assigned behind it.
void Generator::loop_jump() { loop_jumps_.push_back(open_jump(kJump)); }

void Generator::emit_loop_entry() {
  bool from_exits = std::ranges::any_of(exits_, &Exit::loops);
  if (loop_jumps_.empty() && !from_exits) return;
  for (u8* field : loop_jumps_) connect(field, out_);
  block_->again.code = memory_->executable(out_);
  enter();
  loop_exits_ = continuations(HoleKind::Exit);
  connect(open_jump(kJump), body_);
}

/// Where an invalid block, or an empty slice, is left.
void Generator::emit_entry_exits() {
  auto emit = [&](NativeBlock::Entry& entry, const Fields& exits, const Tenants& tenants) {
    if (entry.code == nullptr) return;
    auto clean_up = [&] {
      if (&entry == &block_->again) store_loop_vectors();
      tenants_ = tenants;
      give_back();
    };
    entry.stale = memory_->executable(out_);
    clean_up();
    emit_leave({}, block_, thunks_.leave_stale);
    for (u8* field : exits) connect(field, out_);
    clean_up();
    emit_leave({}, block_, thunks_.leave_slice);
  };
  emit(block_->start, entry_exits_, kResidents);
  emit(block_->again, loop_exits_, lodgers_);
}

/// A dynamic jump to `offset` leads here, with RIP in rdx.
void Generator::arrive(u64 offset) {
  must_emit({.op = code_of(Special::Arrive)}, {.displacement = -static_cast<i32>(offset)});
}

void Generator::emit_exits() {
  for (u32 i = 0; i < exits_.size(); ++i) {
    if (exits_[i].from.empty()) continue;
    for (u8* field : exits_[i].from) connect(field, out_);
    tenants_ = exits_[i].tenants;
    for (const HeldVector& held : exits_[i].vectors) store_vector(held);
    if (exits_[i].flags != nullptr) make_flags(*exits_[i].flags);
    store_unit_pointers(exits_[i].unit_mark);
    store_flag_state(exits_[i].flag_state);
    if (!exits_[i].loops) give_back();
    if (exits_[i].unused != 0) {  // add r13, unused
      bytes({0x49, 0x81, 0xc5});
      word<u32>(exits_[i].unused);
    }
    if (exits_[i].loops) {
      load_loop_vectors();
      connect(open_jump(kJump), memory_->writable_of(block_->again.code));
    } else {
      exit_jump(i);
    }
  }
  block_->exits = std::make_unique<NativeExit[]>(exits_.size());
  auto leaves_page = [](const Exit& exit) { return exit.offset >= kPageSize; };
  auto far_links = static_cast<size_t>(std::ranges::count_if(exits_, leaves_page));
  if (far_links != 0) block_->far_links = std::make_unique<FarLinkCache[]>(far_links);
  FarLinkCache* far_link = block_->far_links.get();
  block_->exit_count = static_cast<u16>(exits_.size());
  for (u32 i = 0; i < exits_.size(); ++i) {
    Exit& exit = exits_[i];
    NativeExit& native = block_->exits[i];
    if (exit.loops) continue;
    native = {.owner = block_,
              .offset = exit.offset,
              .field = static_cast<u32>(exit.field - begin_),
              .stub = static_cast<u32>(out_ - begin_),
              .returns = exit.returns};
    if (native.leaves_page()) native.far = far_link++;
    if (exit.returns) {
      const u8* stub = memory_->executable(out_);
      std::memcpy(exit.field, &stub, sizeof stub);
      arrive(exit.offset);
    } else {
      exit.far_misses.push_back(exit.field);
    }
    emit_leave(exit.far_misses, &native, thunks_.link);
  }
  for (const Patch& patch : far_patches_) {
    u64 cache = reinterpret_cast<u64>(block_->exits[patch.value].far);
    std::memcpy(patch.field, &cache, sizeof cache);
  }
}

/// movabs rax, record; jmp thunk
void Generator::emit_leave(const Fields& from, const void* record, const u8* thunk) {
  for (u8* field : from) connect(field, out_);
  bytes({0x48, 0xb8});
  word<u64>(reinterpret_cast<u64>(record));
  jump_to(thunk);
}

}  // namespace penumbra::jit
