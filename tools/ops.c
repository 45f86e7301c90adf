/* norma ops: the operators of this build, by domain, version and type. */
#include "ops/operator.h"
#include "tools/command.h"
#include "tools/formats/json.h"
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>

static int compare_operators(const void *a, const void *b) {
  const operator_descriptor *left = *(const operator_descriptor *const *)a,
                            *right = *(const operator_descriptor *const *)b;
  int order = strcmp(left->domain, right->domain);
  return order != 0 ? order : strcmp(left->name, right->name);
}

/* The types of the rule that input 0 is in, or else the first rule: what people mean by an operator's types. */
static type_mask main_types(const operator_descriptor *op) {
  const int rules = (int)(sizeof op->types / sizeof op->types[0]);
  for (int i = 0; i < rules && op->types[i].types != 0; i++) {
    if (op->types[i].inputs & INPUT(0)) return op->types[i].types;
  }
  return op->types[0].types;
}

static void print_types(type_mask types) {
  if (types == 0 || (types & TYPES_ALL) == TYPES_ALL) {
    printf("any");
    return;
  }
  const char *separator = "";
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!(types & TYPE_BIT(type))) continue;
    printf("%s%s", separator, norma_element_type_name((norma_element_type)type));
    separator = " ";
  }
}

static void print_table(const operator_descriptor *const *operators, size_t count) {
  const char *domain = NULL;
  for (size_t i = 0; i < count; i++) {
    const operator_descriptor *op = operators[i];
    if (!domain || strcmp(domain, op->domain) != 0) {
      printf("%s%s\n", domain ? "\n" : "", domain_text(op->domain));
      domain = op->domain;
    }
    char versions[128] = "";
    size_t used = 0;
    for (int v = 0; v < OPERATOR_MAX_VERSIONS && op->versions[v] != 0; v++) {
      used += (size_t)snprintf(versions + used, sizeof versions - used, v > 0 ? " %d" : "%d", op->versions[v]);
    }
    printf("  %-28s %-32s ", op->name, versions);
    print_types(main_types(op));
    putchar('\n');
  }
  printf("\n%zu operators\n", count);
}

static void print_rule(json_writer *json, const operator_descriptor *op, const type_rule *rule) {
  json_object(json, NULL);
  json_array(json, "types");
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (rule->types & TYPE_BIT(type)) json_string(json, NULL, norma_element_type_name((norma_element_type)type));
  }
  json_end_array(json);
  json_array(json, "inputs");
  for (int i = 0; i < 32 && i < op->max_inputs; i++) {
    if (rule->inputs & INPUT(i)) json_integer(json, NULL, i);
  }
  json_end_array(json);
  json_array(json, "outputs");
  for (int i = 0; i < 32 && i < op->max_outputs; i++) {
    if (rule->outputs & OUTPUT(i)) json_integer(json, NULL, i);
  }
  json_end_array(json);
  json_end_object(json);
}

static void print_json(const operator_descriptor *const *operators, size_t count) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_array(&json, "operators");
  for (size_t i = 0; i < count; i++) {
    const operator_descriptor *op = operators[i];
    json_object(&json, NULL);
    json_string(&json, "domain", domain_text(op->domain));
    json_string(&json, "name", op->name);
    json_array(&json, "versions");
    for (int v = 0; v < OPERATOR_MAX_VERSIONS && op->versions[v] != 0; v++) json_integer(&json, NULL, op->versions[v]);
    json_end_array(&json);
    json_array(&json, "types");
    const int rules = (int)(sizeof op->types / sizeof op->types[0]);
    for (int r = 0; r < rules && op->types[r].types != 0; r++) print_rule(&json, op, &op->types[r]);
    json_end_array(&json);
    json_end_object(&json);
  }
  json_end_array(&json);
  json_end_object(&json);
}

int command_ops(const struct settings *settings) {
  size_t count = 0;
  while (operator_at(count)) count++;
  const operator_descriptor **operators = calloc(count + 1, sizeof *operators);
  if (!operators) return tool_error("out of memory");
  for (size_t i = 0; i < count; i++) operators[i] = operator_at(i);
  qsort(operators, count, sizeof *operators, compare_operators);
  if (settings->json) {
    print_json(operators, count);
  } else {
    print_table(operators, count);
  }
  free(operators);
  return EXIT_YES;
}
