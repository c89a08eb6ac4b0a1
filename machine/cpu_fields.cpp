#include "machine/cpu_fields.h"

#include <fmt/format.h>

namespace penumbra::machine {

namespace {

constexpr const char* kRegisters[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

class Fields {
 public:
  template <class T>
  void add(std::string name, T value) {
    fields_.push_back({std::move(name), static_cast<u64>(value)});
  }
  template <class T, size_t N>
  void add_array(const char* name, const T (&values)[N]) {
    for (size_t i = 0; i < N; ++i) add(fmt::format("{}{}", name, i), values[i]);
  }
  void add_segment(const std::string& name, const cpu::SegmentRegister& segment) {
    add(name, segment.selector);
    add(name + ".base", segment.base);
    add(name + ".limit", segment.limit);
    add(name + ".attributes", segment.attributes);
  }
  void add_table(const std::string& name, const cpu::DescriptorTable& table) {
    add(name + ".base", table.base);
    add(name + ".limit", table.limit);
  }
  std::vector<CpuField> take() { return std::move(fields_); }

 private:
  std::vector<CpuField> fields_;
};

void add_general(Fields& fields, const cpu::CpuState& s) {
  for (size_t i = 0; i < std::size(kRegisters); ++i) fields.add(kRegisters[i], s.gpr[i]);
  fields.add("rip", s.rip);
  fields.add("rflags", s.flags());
  fields.add("retired", s.retired);
  fields.add("repeat_bytes", s.repeat_bytes);
  fields.add("cpl", s.cpl);
  fields.add("interrupt_shadow", s.interrupt_shadow);
  fields.add("activity", s.activity);
  fields.add("nmi_blocked", s.nmi_blocked);
  fields.add("nmi_pending", s.nmi_pending);
  fields.add("pending_debug", s.pending_debug);
}

void add_segments(Fields& fields, const cpu::CpuState& s) {
  for (size_t i = 0; i < std::size(kSegments); ++i) {
    fields.add_segment(kSegments[i], s.segment[i]);
  }
  fields.add_segment("ldtr", s.ldtr);
  fields.add_segment("tr", s.tr);
  fields.add_table("gdtr", s.gdtr);
  fields.add_table("idtr", s.idtr);
}

void add_units(Fields& fields, const cpu::CpuState& s) {
  fields.add("mxcsr", s.mxcsr);
  for (size_t i = 0; i < std::size(s.vector); ++i) {
    fields.add_array(fmt::format("ymm{}.q", i).c_str(), s.vector[i].lanes);
  }
  for (size_t i = 0; i < std::size(s.x87.registers); ++i) {
    fields.add(fmt::format("x87.r{}.mantissa", i), s.x87.registers[i].mantissa);
    fields.add(fmt::format("x87.r{}.exponent", i), s.x87.registers[i].exponent);
  }
  fields.add("x87.control", s.x87.control);
  fields.add("x87.status", s.x87.status);
  fields.add("x87.tags", s.x87.tags);
  fields.add("x87.opcode", s.x87.opcode);
  fields.add("x87.ip", s.x87.ip);
  fields.add("x87.dp", s.x87.dp);
  fields.add("x87.cs", s.x87.cs);
  fields.add("x87.ds", s.x87.ds);
}

void add_control(Fields& fields, const cpu::CpuState& s) {
  fields.add("cr0", s.cr0);
  fields.add("cr2", s.cr2);
  fields.add("cr3", s.cr3);
  fields.add("cr4", s.cr4);
  fields.add("cr8", s.cr8);
  fields.add_array("dr", s.dr);
  fields.add("dr6", s.dr6);
  fields.add("dr7", s.dr7);
  fields.add("xcr0", s.xcr0);
}

void add_msrs(Fields& fields, const cpu::CpuState& s) {
  fields.add("efer", s.efer);
  fields.add("star", s.star);
  fields.add("lstar", s.lstar);
  fields.add("cstar", s.cstar);
  fields.add("sfmask", s.sfmask);
  fields.add("kernel_gs_base", s.kernel_gs_base);
  fields.add("tsc_aux", s.tsc_aux);
  fields.add("sysenter_cs", s.sysenter_cs);
  fields.add("sysenter_esp", s.sysenter_esp);
  fields.add("sysenter_eip", s.sysenter_eip);
  fields.add("tsc_offset", s.tsc_offset);
  fields.add("tsc_adjust", s.tsc_adjust);
}

void add_stored_msrs(Fields& fields, const cpu::StoredMsrs& msr) {
  fields.add("pat", msr.pat);
  fields.add("mtrr_default", msr.mtrr_default);
  fields.add_array("mtrr_fixed", msr.mtrr_fixed);
  fields.add_array("mtrr_base", msr.mtrr_base);
  fields.add_array("mtrr_mask", msr.mtrr_mask);
  fields.add("misc_enable", msr.misc_enable);
  fields.add("spec_ctrl", msr.spec_ctrl);
  fields.add("hwcr", msr.hwcr);
  fields.add("syscfg", msr.syscfg);
  fields.add("nb_cfg", msr.nb_cfg);
  fields.add("mcg_status", msr.mcg_status);
  fields.add("mcg_control", msr.mcg_control);
  for (size_t i = 0; i < std::size(msr.mc_bank); ++i) {
    fields.add_array(fmt::format("mc{}.", i).c_str(), msr.mc_bank[i]);
  }
}

}  // namespace

std::vector<CpuField> cpu_fields(const cpu::CpuState& state) {
  Fields fields;
  add_general(fields, state);
  add_segments(fields, state);
  add_control(fields, state);
  add_msrs(fields, state);
  add_units(fields, state);
  add_stored_msrs(fields, state.msr);
  return fields.take();
}

cpu::CpuState with_explicit_flags(const cpu::CpuState& state) {
  cpu::CpuState copy = state;
  copy.set_arithmetic_flags(state.arithmetic_flags());
  copy.flag_result = copy.flag_patch = 0;
  return copy;
}

}  // namespace penumbra::machine
