// Micro-ops -> machine code: chooses stencils, assigns registers, lays out a block.
//
// Guest registers stay where registers.h says, but that some of R8 to R15 may lodge in the block's
// straight code where others are that it uses less; an operand that no stencil takes from a
// register goes through its slot. Temporaries live in two registers until their instruction ends.
// Vectors stay in the host's until the block is left, and then go to their slots. Straight code
// comes first, then what is rarely run: exits to other blocks and calls of slow paths.
#pragma once

#include <optional>
#include <vector>

#include "jit/core/code_source.h"
#include "jit/stencil/anchors.h"
#include "jit/stencil/code_memory.h"
#include "jit/stencil/copy.h"
#include "jit/stencil/fields.h"
#include "jit/stencil/key.h"
#include "jit/stencil/native_block.h"
#include "jit/stencil/registers.h"
#include "jit/stencil/stencils.h"
#include "jit/stencil/thunks.h"
#include "jit/stencil/variation.h"

namespace penumbra::jit {

using translator::MicroOp;
using translator::Slot;

constexpr Slot kStackPointer = translator::gpr_slot(4);

/// TEST of a register with itself.
constexpr bool tests_itself(const MicroOp& op) {
  return (op.op == translator::Op::And || op.op == translator::Op::BranchAnd) &&
         !op.b_is_immediate && op.a == op.b;
}

/// Whether the flags of a cold definition need more than its operands in their registers: a
/// carry, or an operand that is gone.
constexpr bool needs_source(const MicroOp& op) {
  switch (op.op) {
    case translator::Op::Add:
    case translator::Op::Sub:
      return op.d != translator::kNoSlot && !op.b_is_immediate && translator::is_temporary(op.b);
    case translator::Op::Shl:
    case translator::Op::Shr:
    case translator::Op::Sar:
      return true;
    default:
      return false;
  }
}

/// What the code from an offset on belongs to; ends where the next mark is.
struct CodeMark {
  enum class Part : u8 { Entry, MicroOp, Again, SlowPaths, Exits, Leaving };
  Part part;
  u32 offset;
  u32 op = 0;  ///< index of the micro-op
};

class Generator {
 public:
  /// `constants` is the address of the tables' constants; all are read as blocks are made.
  Generator(const Stencils& stencils, const Thunks& thunks, const u64& constants,
            const Variation& variation);

  /// Upper bound of the code of a block, bytes.
  static u32 most_bytes(const translator::Block& ir);
  /// Emits into `memory`, which has room for most_bytes().
  std::unique_ptr<NativeBlock> generate(CodeSource::Translated&& translated, CodeMemory& memory);
  /// From now on generate() tells what it emits where; nullptr: it does not. For listings.
  void set_marks(std::vector<CodeMark>* marks) { marks_ = marks; }

 private:
  /// An operand as a stencil takes it.
  struct Place {
    Form form = Form::None;
    Host host = Host::Rax;
    Slot slot = translator::kNoSlot;
    bool is_vector = false;  ///< `host` is the number of a vector register
  };
  /// What a vector register of the host holds.
  struct Vector {
    Slot slot = translator::kNoSlot;
    bool is_wide = false;  ///< 256 bits, else 128
    bool is_upper_zero = false;
    bool is_newer = false;  ///< than the slot
    u32 used = 0;
  };
  /// A vector that stays in its register around the block's loop.
  struct LoopVector {
    Slot slot = translator::kNoSlot;
    u8 number = 0;  ///< of the guest's register
    u8 host = 0;
    bool is_wide = false;
    bool is_written = false;
  };
  struct Operands {
    Place d, a, b, c;
    u64 immediate = 0;
    i32 displacement = 0;
  };
  /// The guest register in each of kPinned.
  using Tenants = std::array<u8, kPinned.size()>;
  static constexpr Tenants kResidents = {0, 1, 2, 3, 4, 5, 6, 7};
  /// Code behind the straight code: a call of a slow path and the way back.
  struct ColdCall {
    Fields from;
    u8* resume;
    u32 site;
    const MicroOp* flags = nullptr;      ///< to be made first
    std::optional<Operands> store = {};  ///< c and the immediate
    Tenants tenants = kResidents;
    i32 popped = 0;             ///< bytes that go back to the stack first
    const u8* thunk = nullptr;  ///< another than that of slow paths
  };
  /// Code behind the straight code: an access whose anchor is 0, by its own look-up.
  struct ColdLookup {
    Fields from;
    u8* resume;
    u32 site;
    const Stencil* stencil;
    Operands operands;
    bool stores;
    const MicroOp* flags;  ///< as ColdCall::flags
    Tenants tenants;
  };
  struct Exit {
    u64 offset;
    u8* field = nullptr;   ///< of the jump that is to be linked, or of the address of `returns`
    bool returns = false;  ///< as NativeExit::returns
    Fields from;           ///< jumps to the exit's own jump, emitted behind the straight code
    Fields far_misses;
    // -- of a branch that the block goes on behind
    const MicroOp* flags = nullptr;  ///< as ColdCall::flags
    u16 unit_mark = Site::kNoMark;
    cpu::FlagState flag_state;
    u32 unused = 0;                        ///< instructions of the block that do not run
    std::vector<HeldVector> vectors = {};  ///< that are newer than their slots
    Tenants tenants = kResidents;
    bool loops = false;  ///< goes to the block's own loop entry
  };
  struct Patch {
    u8* field;  ///< 64-bit address
    u64 value;  ///< index of a site or exit
  };

  /// The last CMP or TEST, as long as its operands are where they were.
  struct Comparison {
    Place a, b;
    u64 immediate = 0;
    Width width = Width::W64;
  };

  // -- places of operands (generator_places.cpp)
  Place place_of(Slot slot) const;
  std::optional<u32> pinned_index(Slot slot) const;
  void choose_lodgers();
  void move_tenants(const Tenants& those, bool store);
  void take_lodgers();
  void give_back();
  bool is_start(u64 target) const;
  bool goes_to_start(const MicroOp& op) const;
  bool loops_to(u64 target) const;
  bool loops(const MicroOp& last) const;
  Place destination(Slot slot, Width width);
  Place hold(Slot slot, u32 index);
  std::optional<u32> temporary_at(Slot slot) const;
  /// A constant as a stencil of that width takes it.
  static u64 narrowed(u64 value, Width width) {
    return width >= Width::W64 ? value : value & mask(width);
  }
  static bool fits_signed_32(u64 value) {
    return static_cast<i64>(value) == static_cast<i32>(static_cast<i64>(value));
  }
  Host constant_register(u64 value);
  void flush(Slot slot);
  void reload(Slot slot);
  void spill_temporary(u32 index);
  void spill_temporaries();
  void forget_overwritten(u32 clobbers, const Place& d);
  static Slot slow_slot(const Place& place);
  /// As a stencil reads it that takes the operand from memory.
  static Place in_memory(Slot slot);

  // -- vectors (generator_vectors.cpp)
  static std::optional<Slot> vector_unit(Slot slot);
  static bool can_hold(Slot slot);
  bool can_hold(Slot slot, Width width) const;
  std::optional<u32> vector_at(Slot slot) const;
  Place in_vector(u32 host) const;
  void store_vector(const HeldVector& held);
  void write_back_vector(u32 host);
  std::vector<HeldVector> newer_vectors() const;
  void write_back_vectors();
  void evict_vector(u32 host);
  void evict_vectors();
  void forget_vector_temporaries();
  void flush_vector(Slot slot);
  void drop_vector(Slot slot);
  u32 take_vector(u32 avoid);
  bool keeps_upper(u32 host, bool is_wide) const;
  bool clears_next(Slot slot) const;
  Place vector_source(Slot slot, bool is_wide, u32& avoid);
  u32 vector_destination(Slot slot, bool is_wide, const Stencil& stencil,
                         std::span<const Place> sources, u32 avoid);
  void record_vector(u32 host, Slot slot, bool is_wide);
  bool vector_in_registers(const MicroOp& op);
  void vector_operands(const MicroOp& op, const Stencil& stencil, bool is_wide, Operands& operands,
                       u32& avoid);
  void narrow_vector(u32 host, Slot slot);
  bool clear_upper(const MicroOp& op);
  void clear_upper_in_slot(const MicroOp& op);
  Place loaded_vector(const MicroOp& op);
  void finish_load(u32 site, const MicroOp& op, const Place& place);
  void list_vectors(Site& site);

  // -- vectors around a loop (generator_loop.cpp)
  void choose_loop_vectors();
  void use_in_loop(const MicroOp& op, Slot unit, Slot slot, bool wide, u64& in_part);
  void take_loop_vectors();
  void record_loop_vector(const LoopVector& each);
  void load_loop_vectors();
  void load_loop_vector(const LoopVector& each);
  void store_loop_vectors();
  void settle_loop_vectors();
  bool settle_loop_vector(const LoopVector& each);

  // -- emission
  bool emit(const StencilKey& key, const Operands& operands);
  static bool fits(const Stencil& stencil, const Operands& operands, bool vectors);
  bool fits(const Stencil& stencil, const Operands& operands) const;
  bool values_fit(const Stencil& stencil, const Operands& operands) const;
  void must_emit(const StencilKey& key, const Operands& operands);
  void copy_stencil(const Stencil& stencil, const Operands& operands);
  void copy_move(const Operands& operands);
  bool emit_address(StencilKey key, Operands& operands);
  Fields continuations(HoleKind kind) const;
  u8* immediate_field() const;
  void bytes(std::initializer_list<u8> values);
  template <class T>
  void word(T value);
  void jump_to(const u8* executable);
  u8* open_jump(u8 opcode);
  void connect(u8* field, const u8* writable_target);

  // -- micro-ops (generator_lowering.cpp)
  void lower(const MicroOp& op);
  void code_value(const MicroOp& op);
  void lower_kept(const MicroOp& op);
  bool lower_with_source(const MicroOp& op);
  void pure(const MicroOp& op);
  bool pure_tied(const MicroOp& op);
  bool pure_compare(const MicroOp& op);
  void note_comparison(const MicroOp& op, const Operands& operands);
  bool pure_apart(const MicroOp& op);
  void pure_general(const MicroOp& op);
  void select(const MicroOp& op);
  void divide(const MicroOp& op);
  void check_divide(const MicroOp& op);
  void address(const MicroOp& op);
  void begin_instruction(const MicroOp& op);
  void check_aligned(const MicroOp& op);
  void check_target(const MicroOp& op);
  bool is_checked_later(const MicroOp& check) const;
  void check_fpu(const MicroOp& op);
  void vector(const MicroOp& op);
  void execute(const MicroOp& op);
  void slow_operation(const MicroOp& op, Site::Kind kind);
  void string_operation(const translator::CallSite& call, u32 site);
  void address_operands(const MicroOp& op, StencilKey& key, Operands& operands);
  Place second(const MicroOp& op, Operands& operands);

  // -- flags (generator_flags.cpp)
  void read_flags(const MicroOp& op);
  bool read_held(const MicroOp& op, StencilKey key, Operands operands);
  void keep_cold_flags();
  void hold_comparison(const MicroOp& op);
  bool with_condition(const MicroOp& condition, const MicroOp& next);
  bool set_by_condition(const MicroOp& condition, const MicroOp& move);
  bool add_by_carry(const MicroOp& condition, const MicroOp& add);
  bool select_by_condition(const MicroOp& condition, const MicroOp& select);
  void set_flags(const MicroOp& op);
  void flag_state(const MicroOp& op);
  void store_flag_state(cpu::FlagState known);
  void make_flags(const MicroOp& op);

  // -- accesses to memory (generator_memory.cpp)
  void memory(const MicroOp& op);
  bool lead_anchor(const AnchorUse& use, const StencilKey& access, const Operands& operands);
  bool by_anchor(const MicroOp& op, const StencilKey& key, const Operands& operands, u32 site);
  void emit_cold_lookups();

  // -- control (generator_control.cpp)
  void jump(const MicroOp& op);
  void jump_dynamic(const MicroOp& op);
  void check_missed(const MicroOp& op);
  void branch(const MicroOp& op, const MicroOp* otherwise);
  void leave_by(u64 target, Fields taken);
  void side_exit(const MicroOp& op, u64 target, Fields taken);
  void push_return(const MicroOp& op);

  // -- x87 (generator_x87.cpp)
  bool unit_operation(const MicroOp& op);
  bool store_mxcsr(const MicroOp& op);
  Fields unit_probe(const MicroOp& op, bool stores, u32 size);
  Fields unit_masks();
  void unit_flags();
  void mark_unit(const penumbra::Operands& operands);
  void store_unit_pointers();
  void store_unit_pointers(u16 mark);

  static constexpr u8 kJump = 0xe9;

  // -- layout
  void mark(CodeMark::Part part, size_t op = 0);
  u32 new_site(const MicroOp& op, Site::Kind kind);
  const u8* thunk_of(const Site& site) const;
  void call_slow(u32 site);
  void call_slow(u32 site, const u8* thunk);
  void cold_call(u32 site, u8* resume);
  void harmless_store(const ColdCall& cold);
  u32 new_exit(u64 offset);
  void enter();
  void check_second_page();
  void exit_jump(u32 exit);
  void loop_jump();
  void emit_loop_entry();
  void emit_entry_exits();
  void emit_cold_calls();
  void arrive(u64 offset);
  void emit_exits();
  void emit_leave(const Fields& from, const void* record, const u8* thunk);
  void finish(CodeSource::Translated&& translated);

  const Stencils& stencils_;
  const Thunks& thunks_;
  const u64& constants_;
  const Variation& variation_;
  std::vector<CodeMark>* marks_ = nullptr;
  CodeMemory* memory_ = nullptr;
  NativeBlock* block_ = nullptr;
  const translator::Block* ir_ = nullptr;
  const u8* page_ = nullptr;  ///< first byte of the block's page
  u8* begin_ = nullptr;
  u8* out_ = nullptr;
  u8* last_ = nullptr;  ///< start of the stencil emitted last
  const Stencil* last_stencil_ = nullptr;
  Fields entry_exits_, loop_exits_;
  u8* body_ = nullptr;           ///< behind the taking of lodgers
  std::vector<u8*> loop_jumps_;  ///< to the block's loop entry
  std::vector<Site> sites_;
  std::vector<MicroOp> programs_;
  std::vector<ColdLookup> cold_lookups_;
  std::vector<ColdCall> cold_calls_;
  std::vector<Exit> exits_;
  std::vector<UnitMark> unit_marks_;
  std::vector<HeldVector> held_vectors_;
  u16 unit_mark_ = Site::kNoMark;  ///< whose pointers are not stored yet
  std::vector<Patch> site_patches_, far_patches_;
  u16 instruction_ = 0;
  AnchorPlan anchor_plan_;
  std::span<const AnchorUse> anchors_;  ///< by number of the micro-op
  u32 open_anchors_ = 0;                ///< bit by anchor: its leader has looked up
  std::optional<Comparison> comparison_;
  u32 host_flags_ = 0;            ///< EFLAGS bits in which the host's are the guest's here
  u32 flag_writers_ = 0;          ///< instructions emitted for a micro-op that write the host's
  Tenants lodgers_ = kResidents;  ///< of the block's straight code, up to its last jump
  Tenants tenants_ = kResidents;  ///< where code is emitted now
  const MicroOp* cold_flags_ = nullptr;              ///< the definition in force that is not kept
  std::array<Slot, kTemporaryHosts.size()> held_{};  ///< temporaries in registers; kNoSlot: free
  std::array<Vector, 16> vectors_{};                 ///< by number
  u32 vector_clock_ = 0;
  bool skipped_check_ = false;     ///< told_by_store(), in front of the CheckTarget that follows
  bool unchecked_target_ = false;  ///< of the dynamic jump that ends the block
  std::vector<LoopVector> loop_vectors_;
  u32 zero_host_ = 0;                   ///< a vector register that is zero
  const MicroOp* zero_used_ = nullptr;  ///< the micro-op up to which that is so
  const MicroOp* next_ = nullptr;       ///< behind that which is lowered
  bool has_avx_;                        ///< of the stencils' level
};

}  // namespace penumbra::jit
