#include "module.h"

#include <string.h>

/* ---------------------------------------------------------------------------------------------------------- objects */

void *objects_allocate(PyObject *type, PyTypeObject *base) {
  if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, base)) {
    PyErr_SetString(PyExc_TypeError, "a type that is derived from this module's is needed");
    return NULL;
  }
  return PyType_GenericAlloc((PyTypeObject *)type, 0);
}

void objects_free(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

PyObject *objects_refuse(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  (void)arguments;
  (void)keywords;
  PyErr_Format(PyExc_TypeError, "%R is made by functions of norma", (PyObject *)type);
  return NULL;
}

/* --------------------------------------------------------------------------------------------------------- runtimes */

/* norma's log, called without the GIL. */
static void runtimes_log(void *context, norma_log_level level, const char *line) {
  const runtime_object *runtime = context;
  const PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *text = text_of(line, (Py_ssize_t)strlen(line));
  PyObject *result = text ? PyObject_CallFunction(runtime->log, "iO", (int)level, text) : NULL;
  if (!result) PyErr_WriteUnraisable(runtime->log);
  Py_XDECREF(text);
  Py_XDECREF(result);
  PyGILState_Release(gil);
}

PyObject *runtimes_create(PyObject *module, PyObject *arguments) {
  module_state *state = PyModule_GetState(module);
  PyObject *type, *log;
  int threads;
  Py_ssize_t memory, nodes;
  const char *kernels;
  if (!PyArg_ParseTuple(arguments, "OinnzO", &type, &threads, &memory, &nodes, &kernels, &log)) return NULL;
  runtime_object *runtime = objects_allocate(type, state->runtime_type);
  if (!runtime) return NULL;
  Py_INCREF(module);
  runtime->module = module;
  runtime->state = state;
  runtime->fork_count = state->fork_count;
  const norma_runtime_options options = {.struct_size = sizeof options,
                                         .threads = threads,
                                         .max_memory_bytes = memory > 0 ? (size_t)memory : 0,
                                         .max_nodes = nodes > 0 ? (size_t)nodes : 0,
                                         .kernels = kernels,
                                         .log = log == Py_None ? NULL : runtimes_log,
                                         .log_context = runtime};
  if (log != Py_None) {
    Py_INCREF(log);
    runtime->log = log;
  }
  norma_error error;
  if (norma_runtime_create(&options, &runtime->runtime, &error) != NORMA_OK) {
    errors_raise(state, &error);
    Py_CLEAR(runtime);
  }
  return (PyObject *)runtime;
}

static void runtimes_deallocate(PyObject *self) {
  runtime_object *runtime = (runtime_object *)self;
  /* the pool would wait for threads that are not there */
  const bool is_forked = runtime->state && runtime->fork_count != runtime->state->fork_count;
  if (!is_forked) norma_runtime_destroy(runtime->runtime);
  Py_XDECREF(runtime->log);
  Py_XDECREF(runtime->module);
  objects_free(self);
}

bool runtimes_check_fork(const runtime_object *runtime) {
  if (runtime->fork_count == runtime->state->fork_count) return true;
  errors_raise_status(runtime->state, NORMA_ERROR_THREAD, NULL,
                      "the process was forked after the runtime was made, whose threads have stayed behind: load the "
                      "model in the new process, or start it with multiprocessing's \"spawn\"");
  return false;
}

static PyObject *runtimes_threads(PyObject *self, void *closure) {
  (void)closure;
  return PyLong_FromLong(norma_runtime_threads(((runtime_object *)self)->runtime));
}

static PyObject *runtimes_kernels(PyObject *self, void *closure) {
  (void)closure;
  return PyUnicode_FromString(norma_runtime_kernels(((runtime_object *)self)->runtime));
}

static PyObject *runtimes_memory_used(PyObject *self, void *closure) {
  (void)closure;
  return PyLong_FromSize_t(norma_runtime_memory_used(((runtime_object *)self)->runtime));
}

static PyObject *runtimes_memory_peak(PyObject *self, void *closure) {
  (void)closure;
  return PyLong_FromSize_t(norma_runtime_memory_peak(((runtime_object *)self)->runtime));
}

static PyGetSetDef runtimes_getters[] = {
    {"threads", runtimes_threads, NULL, "The workers that it computes with, the calling thread included.", NULL},
    {"kernels", runtimes_kernels, NULL, "The kernel table that it uses, such as \"avx2\".", NULL},
    {"memory_used", runtimes_memory_used, NULL, "Bytes that its models and sessions hold now.", NULL},
    {"memory_peak", runtimes_memory_peak, NULL, "The most bytes that they ever held.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject *runtimes_make_type(void) {
  PyType_Slot slots[] = {
      {Py_tp_new, objects_refuse},
      {Py_tp_dealloc, runtimes_deallocate},
      {Py_tp_getset, runtimes_getters},
      {Py_tp_doc, "A runtime of norma.h."},
      {0, NULL},
  };
  PyType_Spec spec = {"norma._norma.Runtime", sizeof(runtime_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                      slots};
  return (PyTypeObject *)PyType_FromSpec(&spec);
}

/* ------------------------------------------------------------------------------------------------------------- load */

/* What a load borrows: names as C strings, shapes, callbacks. */
typedef struct load_request {
  norma_load_options options;
  const char **names; /* passes, then overridable initializers */
  norma_input_shape *shapes;
  int64_t *dims;
  PyObject *read_external, *unsupported; /* a function or NULL; a list */
} load_request;

static bool loads_read_external(void *context, const char *location, uint64_t offset, uint64_t length,
                                void *destination) {
  const load_request *request = context;
  const PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *bytes = PyObject_CallFunction(request->read_external, "yKK", location, (unsigned long long)offset,
                                          (unsigned long long)length);
  const bool is_good = bytes && PyBytes_Check(bytes) && (uint64_t)PyBytes_Size(bytes) == length;
  if (is_good) memcpy(destination, PyBytes_AsString(bytes), length);
  if (!bytes) PyErr_WriteUnraisable(request->read_external);
  Py_XDECREF(bytes);
  PyGILState_Release(gil);
  return is_good;
}

static void loads_report(void *context, const norma_unsupported *item) {
  const load_request *request = context;
  const PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *entry =
      Py_BuildValue("(yyyLy)", item->node, item->op_type, item->domain, (long long)item->opset, item->reason);
  if (!entry || PyList_Append(request->unsupported, entry) != 0) PyErr_WriteUnraisable(request->unsupported);
  Py_XDECREF(entry);
  PyGILState_Release(gil);
}

static void loads_free(load_request *request) {
  PyMem_Free((void *)request->names);
  PyMem_Free(request->shapes);
  PyMem_Free(request->dims);
}

/* Lists of bytes objects, which the caller keeps. */
static bool loads_take_names(load_request *request, PyObject *passes, PyObject *overridable) {
  const Py_ssize_t pass_count = PyTuple_Size(passes), overridable_count = PyTuple_Size(overridable);
  if (pass_count < 0 || overridable_count < 0) return false;
  request->names = PyMem_Calloc((size_t)(pass_count + overridable_count + 1), sizeof *request->names);
  if (!request->names) {
    PyErr_NoMemory();
    return false;
  }
  for (Py_ssize_t i = 0; i < pass_count; i++) request->names[i] = PyBytes_AsString(PyTuple_GetItem(passes, i));
  for (Py_ssize_t i = 0; i < overridable_count; i++) {
    request->names[pass_count + i] = PyBytes_AsString(PyTuple_GetItem(overridable, i));
  }
  request->options.disabled_passes = request->names;
  request->options.disabled_pass_count = (size_t)pass_count;
  request->options.overridable = request->names + pass_count;
  request->options.overridable_count = (size_t)overridable_count;
  return !PyErr_Occurred();
}

/* A tuple of (bytes, tuple of int). */
static bool loads_take_shapes(load_request *request, PyObject *shapes) {
  const Py_ssize_t count = PyTuple_Size(shapes);
  if (count <= 0) return count == 0;
  request->shapes = PyMem_Calloc((size_t)count, sizeof *request->shapes);
  request->dims = PyMem_Calloc((size_t)count * NORMA_MAX_RANK, sizeof *request->dims);
  if (!request->shapes || !request->dims) {
    PyErr_NoMemory();
    return false;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    const char *name;
    PyObject *dims;
    if (!PyArg_ParseTuple(PyTuple_GetItem(shapes, i), "yO!", &name, &PyTuple_Type, &dims)) return false;
    const Py_ssize_t rank = PyTuple_Size(dims);
    if (rank > NORMA_MAX_RANK) {
      PyErr_Format(PyExc_ValueError, "a shape of %zd dimensions, at most %d are possible", rank, NORMA_MAX_RANK);
      return false;
    }
    int64_t *place = request->dims + i * NORMA_MAX_RANK;
    for (Py_ssize_t k = 0; k < rank; k++) place[k] = PyLong_AsLongLong(PyTuple_GetItem(dims, k));
    request->shapes[i] = (norma_input_shape){name, (int)rank, place};
  }
  request->options.input_shapes = request->shapes;
  request->options.input_shape_count = (size_t)count;
  return !PyErr_Occurred();
}

/* ------------------------------------------------------------------------------------------------------------ model */

static PyObject **models_names(Py_ssize_t count) {
  PyObject **names = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *names);
  if (!names) PyErr_NoMemory();
  return names;
}

static bool models_find_names(model_object *model) {
  model->input_count = (Py_ssize_t)norma_model_input_count(model->model);
  model->output_count = (Py_ssize_t)norma_model_output_count(model->model);
  model->input_names = models_names(model->input_count);
  model->output_names = models_names(model->output_count);
  model->output_indices = PyDict_New();
  if (!model->input_names || !model->output_names || !model->output_indices) return false;
  norma_value_info info;
  for (Py_ssize_t i = 0; i < model->input_count; i++) {
    norma_model_input(model->model, (size_t)i, &info);
    model->input_names[i] = text_of(info.name, (Py_ssize_t)strlen(info.name));
    if (!model->input_names[i]) return false;
    PyUnicode_InternInPlace(&model->input_names[i]);
  }
  for (Py_ssize_t i = 0; i < model->output_count; i++) {
    norma_model_output(model->model, (size_t)i, &info);
    model->output_names[i] = text_of(info.name, (Py_ssize_t)strlen(info.name));
    PyObject *index = model->output_names[i] ? PyLong_FromSsize_t(i) : NULL;
    const bool is_set = index && PyDict_SetItem(model->output_indices, model->output_names[i], index) == 0;
    Py_XDECREF(index);
    if (!is_set) return false;
  }
  return true;
}

/* create_model(type, runtime, path or None, bytes or None, optimization, denormals, exact, keep_constants, map_file,
 * disabled passes, overridable, input shapes, read_external or None, unsupported) */
PyObject *models_create(PyObject *module, PyObject *arguments) {
  module_state *state = PyModule_GetState(module);
  PyObject *type, *data, *passes, *overridable, *shapes, *read_external, *unsupported;
  runtime_object *runtime;
  PyObject *file;
  int optimization, denormals, exact, keep_constants, map_file;
  if (!PyArg_ParseTuple(arguments, "OO!OOiipppO!O!O!OO!", &type, state->runtime_type, &runtime, &file, &data,
                        &optimization, &denormals, &exact, &keep_constants, &map_file, &PyTuple_Type, &passes,
                        &PyTuple_Type, &overridable, &PyTuple_Type, &shapes, &read_external, &PyList_Type,
                        &unsupported)) {
    return NULL;
  }
  const char *path = PyBytes_Check(file) ? PyBytes_AsString(file) : NULL;
  if (!path && !PyBytes_Check(data)) {
    PyErr_SetString(PyExc_TypeError, "a path or bytes are needed");
    return NULL;
  }
  if (!runtimes_check_fork(runtime)) return NULL;
  load_request request = {.read_external = read_external, .unsupported = unsupported};
  request.options = (norma_load_options){.struct_size = sizeof request.options,
                                         .runtime = runtime->runtime,
                                         .optimization = (norma_optimization)optimization,
                                         .denormals = (norma_denormals)denormals,
                                         .exact = exact,
                                         .keep_constants = keep_constants,
                                         .map_file = map_file,
                                         .read_external = read_external == Py_None ? NULL : loads_read_external,
                                         .read_external_context = &request,
                                         .report = loads_report,
                                         .report_context = &request};
  model_object *model = NULL;
  if (loads_take_names(&request, passes, overridable) && loads_take_shapes(&request, shapes)) {
    model = objects_allocate(type, state->model_type);
  }
  if (model) {
    Py_INCREF(runtime);
    model->runtime = runtime;
    const void *bytes = path ? NULL : PyBytes_AsString(data);
    const size_t size = path ? 0 : (size_t)PyBytes_Size(data);
    norma_error error;
    norma_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = path ? norma_model_load(path, &request.options, &model->model, &error)
                  : norma_model_load_memory(bytes, size, &request.options, &model->model, &error);
    Py_END_ALLOW_THREADS;
    if (status != NORMA_OK) errors_raise(state, &error);
    if (status != NORMA_OK || !models_find_names(model)) Py_CLEAR(model);
  }
  loads_free(&request);
  return (PyObject *)model;
}

static void models_free_names(PyObject **names, Py_ssize_t count) {
  for (Py_ssize_t i = 0; names && i < count; i++) Py_XDECREF(names[i]);
  PyMem_Free(names);
}

static void models_deallocate(PyObject *self) {
  model_object *model = (model_object *)self;
  models_free_names(model->input_names, model->input_count);
  models_free_names(model->output_names, model->output_count);
  Py_XDECREF(model->output_indices);
  norma_model_destroy(model->model);
  Py_XDECREF((PyObject *)model->runtime);
  objects_free(self);
}

const norma_type *models_input_type(const norma_model *model, const char *name) {
  const norma_graph_value *value = norma_graph_find_value(norma_model_graph(model), name);
  norma_graph_value_info info = {.struct_size = sizeof info};
  return norma_graph_value_describe(value, &info) == NORMA_OK ? info.type : NULL;
}

/* ------------------------------------------------------------------------------------------------- what is in it */

static PyObject *models_text(const char *text) {
  return text_of(text, (Py_ssize_t)strlen(text));
}

/* None, or a tuple of int, of str for a dimension that has a name, and of None. */
static PyObject *models_shape(const norma_type *type, const norma_value_info *info) {
  const int rank = norma_type_rank(type);
  const int64_t *dims = norma_type_dims(type);
  if (rank < 0 || !dims) Py_RETURN_NONE;
  PyObject *shape = PyTuple_New(rank);
  for (int i = 0; shape && i < rank; i++) {
    const char *name = info && i < info->rank ? info->dim_names[i] : NULL;
    PyObject *dim = Py_None;
    if (dims[i] >= 0) {
      dim = PyLong_FromLongLong(dims[i]);
    } else if (name) {
      dim = models_text(name);
    } else {
      Py_INCREF(dim);
    }
    if (!dim || PyTuple_SetItem(shape, i, dim) != 0) Py_CLEAR(shape);
  }
  return shape;
}

/* (kind, element type, shape, item): see describe() of Python. */
static PyObject *models_type(const norma_type *type, const norma_value_info *info) {
  const norma_type *item = norma_type_item(type);
  PyObject *below = item ? models_type(item, NULL) : NULL;
  if (item && !below) return NULL;
  if (!below) {
    below = Py_None;
    Py_INCREF(below);
  }
  PyObject *shape = models_shape(type, info);
  if (!shape) {
    Py_DECREF(below);
    return NULL;
  }
  return Py_BuildValue("(iiNN)", (int)norma_type_kind(type), (int)norma_type_element(type), shape, below);
}

static PyObject *models_value(const norma_model *model, const norma_value_info *info) {
  PyObject *name = models_text(info->name);
  PyObject *type = name ? models_type(models_input_type(model, info->name), info) : NULL;
  if (!type) {
    Py_XDECREF(name);
    return NULL;
  }
  return Py_BuildValue("(NNO)", name, type, info->optional ? Py_True : Py_False);
}

static PyObject *models_values(PyObject *self, Py_ssize_t count,
                               norma_status (*describe)(const norma_model *, size_t, norma_value_info *)) {
  const model_object *model = (const model_object *)self;
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; i++) {
    norma_value_info info;
    describe(model->model, (size_t)i, &info);
    PyObject *value = models_value(model->model, &info);
    if (!value || PyList_SetItem(list, i, value) != 0) Py_CLEAR(list);
  }
  return list;
}

static PyObject *models_describe_inputs(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return models_values(self, ((model_object *)self)->input_count, norma_model_input);
}

static PyObject *models_describe_outputs(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return models_values(self, ((model_object *)self)->output_count, norma_model_output);
}

static bool models_add(PyObject *dict, const char *key, PyObject *value) {
  const bool is_set = value && PyDict_SetItemString(dict, key, value) == 0;
  Py_XDECREF(value);
  return is_set;
}

static PyObject *models_metadata(const norma_model *model, size_t count) {
  PyObject *dict = PyDict_New();
  for (size_t i = 0; dict && i < count; i++) {
    const char *key, *value;
    norma_model_metadata(model, i, &key, &value);
    PyObject *name = models_text(key), *text = models_text(value);
    if (!name || !text || PyDict_SetItem(dict, name, text) != 0) Py_CLEAR(dict);
    Py_XDECREF(name);
    Py_XDECREF(text);
  }
  return dict;
}

static PyObject *models_opsets(const norma_model *model, size_t count) {
  PyObject *dict = PyDict_New();
  for (size_t i = 0; dict && i < count; i++) {
    const char *domain;
    int64_t version;
    norma_model_opset(model, i, &domain, &version);
    PyObject *name = models_text(domain), *number = PyLong_FromLongLong(version);
    if (!name || !number || PyDict_SetItem(dict, name, number) != 0) Py_CLEAR(dict);
    Py_XDECREF(name);
    Py_XDECREF(number);
  }
  return dict;
}

static PyObject *models_describe(PyObject *self, PyObject *arguments) {
  (void)arguments;
  const norma_model *model = ((model_object *)self)->model;
  norma_model_info info = {.struct_size = sizeof info};
  norma_graph_info graph = {.struct_size = sizeof graph};
  norma_model_describe(model, &info);
  norma_graph_describe(norma_model_graph(model), &graph);
  PyObject *dict = PyDict_New();
  if (!dict) return NULL;
  const bool is_good = models_add(dict, "producer_name", models_text(info.producer_name)) &&
                       models_add(dict, "producer_version", models_text(info.producer_version)) &&
                       models_add(dict, "domain", models_text(info.domain)) &&
                       models_add(dict, "description", models_text(info.doc_string)) &&
                       models_add(dict, "graph_name", models_text(graph.name)) &&
                       models_add(dict, "ir_version", PyLong_FromLongLong(info.ir_version)) &&
                       models_add(dict, "version", PyLong_FromLongLong(info.model_version)) &&
                       models_add(dict, "node_count", PyLong_FromSize_t(graph.node_count)) &&
                       models_add(dict, "parameter_count", PyLong_FromUnsignedLongLong(info.parameter_count)) &&
                       models_add(dict, "parameter_bytes", PyLong_FromSize_t(info.parameter_bytes)) &&
                       models_add(dict, "packed_bytes", PyLong_FromSize_t(info.packed_bytes)) &&
                       models_add(dict, "opsets", models_opsets(model, info.opset_count)) &&
                       models_add(dict, "metadata", models_metadata(model, info.metadata_count));
  if (!is_good) Py_CLEAR(dict);
  return dict;
}

static PyObject *models_runtime(PyObject *self, void *closure) {
  (void)closure;
  PyObject *runtime = (PyObject *)((model_object *)self)->runtime;
  Py_INCREF(runtime);
  return runtime;
}

static PyMethodDef models_methods[] = {
    {"_describe", models_describe, METH_NOARGS, NULL},
    {"_describe_inputs", models_describe_inputs, METH_NOARGS, NULL},
    {"_describe_outputs", models_describe_outputs, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef models_getters[] = {
    {"runtime", models_runtime, NULL, "The runtime that it was loaded with.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject *models_make_type(void) {
  PyType_Slot slots[] = {
      {Py_tp_new, objects_refuse},    {Py_tp_dealloc, models_deallocate}, {Py_tp_methods, models_methods},
      {Py_tp_getset, models_getters}, {Py_tp_doc, "A model of norma.h."}, {0, NULL},
  };
  PyType_Spec spec = {"norma._norma.Model", sizeof(model_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  return (PyTypeObject *)PyType_FromSpec(&spec);
}
