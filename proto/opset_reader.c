/* Opset imports of models and functions. */
#include "proto/reader.h"

#include <inttypes.h>
#include <string.h>

const char *text_or_empty(const char *text) {
  return text ? text : "";
}

const char *domain_normalize(const char *domain) {
  return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

norma_status reader_poll(reader *reader) {
  return interruption_poll_often(reader->options->interruption, &reader->polls, reader->error);
}

norma_status reader_no_memory(reader *reader) {
  return region_error(reader->region, reader->error);
}

/* The newest version of ONNX's own domains; other domains have none that we know. */
static int64_t newest_opset(const char *domain) {
  if (domain[0] == '\0') return MODEL_NEWEST_OPSET;
  if (strcmp(domain, "ai.onnx.ml") == 0) return MODEL_NEWEST_ML_OPSET;
  if (strcmp(domain, "ai.onnx.preview") == 0 || strcmp(domain, "ai.onnx.preview.training") == 0) return 1;
  return INT64_MAX;
}

static norma_status check_version(reader *reader, const char *domain, int64_t version) {
  int64_t newest = newest_opset(domain);
  if (version >= 1 && version <= newest) return NORMA_OK;
  norma_status status =
      version < 1 ? error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                              "opset %" PRId64 " of domain %s: versions begin at 1", version, domain_text(domain))
                  : error_set(reader->error, NORMA_ERROR_UNSUPPORTED,
                              "opset %" PRId64 " of domain %s is newer than %" PRId64 ", the newest this build knows",
                              version, domain_text(domain), newest);
  ERROR_COPY(reader->error->domain, domain_text(domain));
  reader->error->opset = version;
  return status;
}

norma_status read_opsets(reader *reader, size_t count, Onnx__OperatorSetIdProto *const *protos, region *region,
                         opset_import **opsets, size_t *opset_count) {
  opset_import *imports = region_array(region, count, sizeof *imports);
  if (!imports) return reader_no_memory(reader);
  *opsets = imports;
  *opset_count = 0;
  for (size_t i = 0; i < count; i++) {
    const char *domain = domain_normalize(protos[i]->domain);
    TRY(check_version(reader, domain, protos[i]->version));
    int64_t known = find_opset(imports, *opset_count, domain);
    if (known == protos[i]->version) continue;
    if (known) {
      return error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                       "domain %s is imported twice, as %" PRId64 " and %" PRId64, domain_text(domain), known,
                       protos[i]->version);
    }
    char *copy = region_copy_string(region, domain, strlen(domain));
    if (!copy) return reader_no_memory(reader);
    imports[(*opset_count)++] = (opset_import){.domain = copy, .version = protos[i]->version};
    if (*opset_count > 100) {
      return error_set(reader->error, NORMA_ERROR_BUDGET, "more than 100 domains are imported");
    }
  }
  return NORMA_OK;
}

int64_t find_opset(const opset_import *opsets, size_t count, const char *domain) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(opsets[i].domain, domain) == 0) return opsets[i].version;
  }
  return 0;
}

int64_t context_opset(const reader *reader, const call *call, const char *domain) {
  return call ? find_opset(call->function->opsets, call->function->opset_count, domain)
              : find_opset(reader->model->opsets, reader->model->opset_count, domain);
}
