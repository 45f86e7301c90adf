/* Lists of what the build contains, for callers of the library: operators, passes, kernel tables. */
#include "engine/base/struct_size.h"
#include "engine/execute/runtime.h"
#include "engine/passes/pass.h"
#include "ops/kernels/kernel_table.h"
#include "ops/operator.h"

#include <string.h>

/* -------------------------------------------------------------------------------------------------------- operators */

size_t norma_operator_count(void) {
  size_t count = 0;
  while (operator_at(count)) count++;
  return count;
}

static size_t count_versions(const operator_descriptor *op) {
  size_t count = 0;
  while (count < OPERATOR_MAX_VERSIONS && op->versions[count] != 0) count++;
  return count;
}

static size_t count_type_rules(const operator_descriptor *op) {
  size_t count = 0;
  while (count < sizeof op->types / sizeof op->types[0] && op->types[count].types != 0) count++;
  return count;
}

static size_t count_operator_attributes(const operator_descriptor *op) {
  size_t count = 0;
  while (op->attributes && op->attributes[count].name) count++;
  return count;
}

static int public_arity(int count) {
  return count == OPERATOR_VARIADIC ? -1 : count;
}

norma_status norma_operator(size_t index, norma_operator_info *info) {
  const operator_descriptor *op = operator_at(index);
  if (!op) return NORMA_ERROR_ARGUMENT;
  const store_fusion *store = &op->facts.store;
  const norma_operator_info filled = {.domain = domain_text(op->domain),
                                      .name = op->name,
                                      .versions = op->versions,
                                      .version_count = count_versions(op),
                                      .min_inputs = op->min_inputs,
                                      .max_inputs = public_arity(op->max_inputs),
                                      .min_outputs = op->min_outputs,
                                      .max_outputs = public_arity(op->max_outputs),
                                      .type_rule_count = count_type_rules(op),
                                      .attribute_count = count_operator_attributes(op),
                                      .is_inner = strcmp(op->domain, OPERATOR_INNER_DOMAIN) == 0,
                                      .is_elementwise = op->facts.elementwise != NULL,
                                      .packs_constants = op->facts.packs != 0,
                                      .block_types = op->facts.block ? op->facts.block_types : 0,
                                      .stored_types = store->bias | store->residual | store->activation};
  return info_give(info, &filled, sizeof filled);
}

bool norma_runtime_uses_operator(const norma_runtime *runtime, size_t index) {
  const operator_descriptor *op = operator_at(index);
  return runtime && op && operator_registry_uses(runtime->operators, op);
}

norma_status norma_operator_type_rule(size_t index, size_t rule, norma_type_rule *info) {
  const operator_descriptor *op = operator_at(index);
  if (!op || rule >= count_type_rules(op)) return NORMA_ERROR_ARGUMENT;
  const norma_type_rule filled = {
      .types = op->types[rule].types, .inputs = op->types[rule].inputs, .outputs = op->types[rule].outputs};
  return info_give(info, &filled, sizeof filled);
}

norma_status norma_operator_attribute(size_t index, size_t attribute, norma_operator_attribute_info *info) {
  const operator_descriptor *op = operator_at(index);
  if (!op || attribute >= count_operator_attributes(op)) return NORMA_ERROR_ARGUMENT;
  const operator_attribute *about = &op->attributes[attribute];
  const norma_operator_attribute_info filled = {.name = about->name,
                                                .kind = (norma_attribute_kind)about->kind,
                                                .since_version = about->since,
                                                .until_version = about->until,
                                                .is_required = about->required};
  return info_give(info, &filled, sizeof filled);
}

/* ----------------------------------------------------------------------------------------------------------- passes */

size_t norma_pass_count(void) {
  size_t count = 0;
  while (pass_at(count)) count++;
  return count;
}

/* The group of the pass that runs as number `index`. */
static const char *group_at(size_t index) {
  for (const pass_group *group = pass_groups; group->name; group++) {
    for (const char *const *name = group->passes; *name; name++) {
      if (index-- == 0) return group->name;
    }
  }
  return "";
}

norma_status norma_pass(size_t index, norma_pass_info *info) {
  const pass *pass = pass_at(index);
  if (!pass) return NORMA_ERROR_ARGUMENT;
  const norma_pass_info filled = {
      .name = pass->name, .group = group_at(index), .level = pass->level, .changes_rounding = pass->changes_rounding};
  return info_give(info, &filled, sizeof filled);
}

/* ---------------------------------------------------------------------------------------------------- kernel tables */

size_t norma_kernel_table_count(void) {
  size_t count = 0;
  while (kernel_table_built_at(count)) count++;
  return count;
}

norma_status norma_kernel_table(size_t index, norma_kernel_table_info *info) {
  const struct kernel_table *table = kernel_table_built_at(index);
  if (!table) return NORMA_ERROR_ARGUMENT;
  const norma_kernel_table_info filled = {.name = table->name,
                                          .can_run = kernel_table_find(table->name) != NULL,
                                          .is_default = strcmp(kernel_table_default()->name, table->name) == 0};
  return info_give(info, &filled, sizeof filled);
}

double norma_kernel_table_exercise(const char *name) {
  enum { STEPS = 300000 };
  const struct kernel_table *table = name ? kernel_table_find(name) : NULL;
  if (!table) return 0;
  table->multiply_add_f32(STEPS, 0.5f, 1);
  return 2.0 * 12 * STEPS * ((double)table->vector_bytes / sizeof(float));
}
