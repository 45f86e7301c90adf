/* norma ops: the operators of this build, by domain, version and type. */
#include "tools/command.h"
#include "tools/formats/json.h"
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>

struct ops_settings {
  struct common_settings common;
  bool json, markdown;
};

/* An operator and its number in the library's list. */
typedef struct listed_operator {
  size_t index;
  norma_operator_info info;
} listed_operator;

/* The default domain first. */
static const char *sort_key(const char *domain) {
  return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static int compare_operators(const void *a, const void *b) {
  const norma_operator_info *left = &((const listed_operator *)a)->info, *right = &((const listed_operator *)b)->info;
  int order = strcmp(sort_key(left->domain), sort_key(right->domain));
  return order != 0 ? order : strcmp(left->name, right->name);
}

static norma_type_rule rule_at(const listed_operator *op, size_t rule) {
  norma_type_rule result = {.struct_size = sizeof result};
  norma_operator_type_rule(op->index, rule, &result);
  return result;
}

/* The types of the rule that input 0 is in, or else the first rule: what people mean by an operator's types. */
static uint64_t main_types(const listed_operator *op) {
  for (size_t i = 0; i < op->info.type_rule_count; i++) {
    if (rule_at(op, i).inputs & 1) return rule_at(op, i).types;
  }
  return op->info.type_rule_count > 0 ? rule_at(op, 0).types : 0;
}

static void print_types(uint64_t types) {
  const uint64_t all = (((uint64_t)1 << NORMA_ELEMENT_TYPE_COUNT) - 1) & ~(uint64_t)1;
  if (types == 0 || (types & all) == all) {
    printf("any");
    return;
  }
  const char *separator = "";
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!(types >> type & 1)) continue;
    printf("%s%s", separator, norma_element_type_name((norma_element_type)type));
    separator = " ";
  }
}

static void print_table(const listed_operator *operators, size_t count) {
  const char *domain = NULL;
  for (size_t i = 0; i < count; i++) {
    const norma_operator_info *op = &operators[i].info;
    if (!domain || strcmp(domain, op->domain) != 0) {
      printf("%s%s\n", domain ? "\n" : "", op->domain);
      domain = op->domain;
    }
    char versions[128] = "";
    size_t used = 0;
    for (size_t v = 0; v < op->version_count && used < sizeof versions; v++) {
      used += (size_t)snprintf(versions + used, sizeof versions - used, v > 0 ? " %d" : "%d", op->versions[v]);
    }
    printf("  %-28s %-32s ", op->name, versions);
    print_types(main_types(&operators[i]));
    putchar('\n');
  }
  printf("\n%zu operators\n", count);
}

/* ------------------------------------------------------------------------------------------------------------- page */

#define BIT(type) ((uint64_t)1 << (type))

/* Types that mostly come together. */
static const struct type_group {
  const char *name;
  uint64_t types;
} type_groups[] = {
    {"float", BIT(NORMA_FLOAT)},
    {"half", BIT(NORMA_FLOAT16) | BIT(NORMA_BFLOAT16)},
    {"double", BIT(NORMA_DOUBLE)},
    {"integers", BIT(NORMA_INT8) | BIT(NORMA_INT16) | BIT(NORMA_INT32) | BIT(NORMA_INT64) | BIT(NORMA_UINT8) |
                     BIT(NORMA_UINT16) | BIT(NORMA_UINT32) | BIT(NORMA_UINT64)},
    {"bool", BIT(NORMA_BOOL)},
    {"string", BIT(NORMA_STRING)},
    {"complex", BIT(NORMA_COMPLEX64) | BIT(NORMA_COMPLEX128)},
    {"float8", BIT(NORMA_FLOAT8E4M3FN) | BIT(NORMA_FLOAT8E4M3FNUZ) | BIT(NORMA_FLOAT8E5M2) | BIT(NORMA_FLOAT8E5M2FNUZ)},
    {"4 bits", BIT(NORMA_INT4) | BIT(NORMA_UINT4)},
    {"2 bits", BIT(NORMA_INT2) | BIT(NORMA_UINT2)},
};

static void print_grouped_types(uint64_t types) {
  const uint64_t all = (BIT(NORMA_ELEMENT_TYPE_COUNT) - 1) & ~(uint64_t)1;
  const char *separator = "";
  if (types == 0 || (types & all) == all) {
    printf("any");
    return;
  }
  for (size_t i = 0; i < sizeof type_groups / sizeof *type_groups; i++) {
    const struct type_group *group = &type_groups[i];
    if ((types & group->types) != group->types) continue;
    printf("%s%s", separator, group->name);
    separator = ", ";
    types &= ~group->types;
  }
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!(types & BIT(type))) continue;
    printf("%s%s", separator, norma_element_type_name((norma_element_type)type));
    separator = ", ";
  }
}

static void print_fast_paths(const norma_operator_info *op) {
  const char *separator = "";
  if (op->is_elementwise) {
    printf("chains");
    separator = "; ";
  }
  if (op->block_types != 0) {
    printf("%sblocks: ", separator);
    print_grouped_types(op->block_types);
    separator = "; ";
  }
  if (op->stored_types != 0) {
    printf("%sstores: ", separator);
    print_grouped_types(op->stored_types);
    separator = "; ";
  }
  if (op->packs_constants) printf("%spacks", separator);
}

static void print_page(const listed_operator *operators, size_t count) {
  const char *domain = "";
  printf(
      "# Operators\n\n"
      "Written by `norma ops --markdown`. Versions are the opsets that changed the definition; types are those of\n"
      "the first input. `half` is float16 and bfloat16, `integers` are those of 8 to 64 bits, `float8` the four with\n"
      "a sign.\n\n"
      "Fast paths at `-O 2`: `chains`, computed together with neighbours, element by element; `blocks`, in channel\n"
      "blocks, for these types; `stores`, a bias, residual or activation behind it is applied as it stores; `packs`,\n"
      "constants are packed when the model is loaded.\n");
  for (size_t i = 0; i < count; i++) {
    const norma_operator_info *op = &operators[i].info;
    if (op->is_inner) continue;
    if (strcmp(domain, op->domain) != 0) {
      domain = op->domain;
      printf("\n## %s\n\n| operator | versions | types | fast paths |\n| --- | --- | --- | --- |\n", domain);
    }
    printf("| %s |", op->name);
    for (size_t v = 0; v < op->version_count; v++) printf(v > 0 ? ", %d" : " %d", op->versions[v]);
    printf(" | ");
    print_grouped_types(main_types(&operators[i]));
    printf(" | ");
    print_fast_paths(op);
    printf(" |\n");
  }
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

/* The numbers of the inputs or outputs that are set, as far as the operator has so many. */
static void print_places(json_writer *json, const char *key, uint32_t places, int most) {
  json_array(json, key);
  for (int i = 0; i < 32 && (most < 0 || i < most); i++) {
    if (places >> i & 1) json_integer(json, NULL, i);
  }
  json_end_array(json);
}

static void print_rule(json_writer *json, const norma_operator_info *op, const norma_type_rule *rule) {
  json_object(json, NULL);
  json_array(json, "types");
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (rule->types >> type & 1) json_string(json, NULL, norma_element_type_name((norma_element_type)type));
  }
  json_end_array(json);
  print_places(json, "inputs", rule->inputs, op->max_inputs);
  print_places(json, "outputs", rule->outputs, op->max_outputs);
  json_end_object(json);
}

static void print_json(const listed_operator *operators, size_t count) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_array(&json, "operators");
  for (size_t i = 0; i < count; i++) {
    const norma_operator_info *op = &operators[i].info;
    json_object(&json, NULL);
    json_string(&json, "domain", op->domain);
    json_string(&json, "name", op->name);
    json_array(&json, "versions");
    for (size_t v = 0; v < op->version_count; v++) json_integer(&json, NULL, op->versions[v]);
    json_end_array(&json);
    json_array(&json, "types");
    for (size_t r = 0; r < op->type_rule_count; r++) {
      const norma_type_rule rule = rule_at(&operators[i], r);
      print_rule(&json, op, &rule);
    }
    json_end_array(&json);
    json_end_object(&json);
  }
  json_end_array(&json);
  json_end_object(&json);
}

static int ops(const void *given) {
  const struct ops_settings *settings = given;
  const size_t count = norma_operator_count();
  listed_operator *operators = calloc(count + 1, sizeof *operators);
  if (!operators) return tool_error("out of memory");
  for (size_t i = 0; i < count; i++) {
    operators[i] = (listed_operator){.index = i, .info = {.struct_size = sizeof operators[i].info}};
    norma_operator(i, &operators[i].info);
  }
  qsort(operators, count, sizeof *operators, compare_operators);
  if (settings->markdown) {
    print_page(operators, count);
  } else if (settings->json) {
    print_json(operators, count);
  } else {
    print_table(operators, count);
  }
  free(operators);
  return EXIT_YES;
}

static const tool_option markdown_option = {
    "markdown", 0, NULL, "print a page, with the fast path of each operator", NULL, take_flag};

static const command_option options[] = {
    {&shared_options[SHARED_JSON], offsetof(struct ops_settings, json)},
    {&markdown_option, offsetof(struct ops_settings, markdown)},
    {NULL, 0},
};

const command command_ops = {
    .name = "ops",
    .synopsis = "[--json | --markdown]",
    .summary = "the operators of this build",
    .text = "Prints domain, operator, the versions that are implemented, and element types.\n",
    .options = options,
    .argument = "",
    .settings_size = sizeof(struct ops_settings),
    .run = ops,
};
