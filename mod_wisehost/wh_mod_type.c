/*
 * Content types by mod_mime's tables (TypesConfig, AddType, ForceType), where it is loaded.
 *
 * Its type checker never sees the request itself: beside a type it sets handlers, filters
 * (AddOutputFilter INCLUDES .shtml), languages and encodings by the name of a file, and nothing of
 * an application is to be run. It is asked with a request of its own, that has the name and the
 * configuration and nothing else, and only the type of its answer is taken. Types are found out
 * once a release and virtual host; sections that change the configuration of a request ask anew.
 */
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_wisehost/wh_mod_data.h"

/* Set in post_config, read-only afterwards; NULL = mod_mime is not loaded. */
static int (*mime_type_checker)(request_rec *r);
static apr_thread_mutex_t *lock; /* makes types one at a time */

void wh_mod_type_child_init(apr_pool_t *pchild)
{
    if (apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS) {
        lock = NULL; /* every request asks, then */
    }
}

void wh_mod_type_post_config(void)
{
    const apr_array_header_t *hooks = ap_hook_get_type_checker();
    int i;

    mime_type_checker = NULL;
    for (i = 0; hooks != NULL && i < hooks->nelts; i++) {
        const ap_LINK_type_checker_t *hook = &APR_ARRAY_IDX(hooks, i, ap_LINK_type_checker_t);

        if (strcmp(hook->szName, "mod_mime.c") == 0) {
            mime_type_checker = hook->pFunc;
        }
    }
}

/* What mod_mime says of a file name, in p; NULL when it says nothing. "a.tar.gz" as tar that is
 * encoded would need the encoding, too: then its word is not taken. */
static const char *ask(request_rec *r, apr_pool_t *p, const ap_conf_vector_t *conf,
                       const char *name)
{
    request_rec *fake = apr_pcalloc(p, sizeof(*fake));

    *fake = *r;
    fake->pool = p;
    fake->per_dir_config = (ap_conf_vector_t *)(uintptr_t)conf;
    fake->request_config = ap_create_request_config(p);
    fake->filename = apr_pstrcat(p, "/", name, NULL);
    fake->uri = fake->filename;
    fake->path_info = apr_pstrdup(p, "");
    fake->finfo.filetype = APR_REG;
    fake->headers_in = apr_table_make(p, 1);
    fake->headers_out = apr_table_make(p, 1);
    fake->err_headers_out = apr_table_make(p, 1);
    fake->subprocess_env = apr_table_make(p, 1);
    fake->notes = apr_table_make(p, 1);
    fake->output_filters = NULL;
    fake->proto_output_filters = NULL;
    fake->input_filters = NULL;
    fake->proto_input_filters = NULL;
    fake->content_type = NULL;
    fake->content_encoding = NULL;
    fake->content_languages = NULL;
    fake->handler = NULL;
    if (mime_type_checker(fake) != OK || fake->content_encoding != NULL) {
        return NULL;
    }
    return fake->content_type;
}

/* mod_mime's tables say no charset: where they agree on the type, the manifest says more. */
static const char *choose(apr_pool_t *p, const wh_manifest_entry_t *entry, const char *said)
{
    apr_size_t n = said != NULL ? strcspn(said, "; ") : 0;

    if (n == 0 || (strncmp(entry->type, said, n) == 0 && said[n] == '\0' &&
                   (entry->type[n] == ';' || entry->type[n] == '\0'))) {
        return NULL;
    }
    if (strncmp(said, "text/", 5) == 0 && said[n] == '\0') {
        return apr_pstrcat(p, said, ";charset=utf-8", NULL);
    }
    return apr_pstrdup(p, said);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void fill(request_rec *r, apr_pool_t *p, const wh_manifest_t *m, wh_mod_types_t *types)
{
    apr_pool_t *ptemp = NULL;
    apr_hash_t *known;
    int i;

    apr_pool_create(&ptemp, r->pool);
    known = apr_hash_make(ptemp);
    for (i = 0; i < m->n; i++) {
        const char *suffixes = ap_strchr_c(name_of(m->entries[i].path), '.');
        const char *said;

        if (suffixes == NULL) {
            continue;
        }
        said = apr_hash_get(known, suffixes, APR_HASH_KEY_STRING);
        if (said == NULL) {
            said = ask(r, ptemp, types->conf, apr_pstrcat(ptemp, "x", suffixes, NULL));
            said = said != NULL ? said : "";
            apr_hash_set(known, suffixes, APR_HASH_KEY_STRING, said);
        }
        types->of[i] = choose(p, &m->entries[i], said);
    }
    apr_pool_destroy(ptemp);
}

static wh_mod_types_t *types_at(wh_mod_release_t *view, int i)
{
    return __atomic_load_n(&view->types[i], __ATOMIC_ACQUIRE);
}

/* Those of this configuration, made when they are not there; NULL when there is no room. */
static wh_mod_types_t *types_for(request_rec *r, wh_mod_release_t *view)
{
    const wh_manifest_t *m = view->site->manifest;
    wh_mod_types_t *types = NULL;
    int i;

    apr_thread_mutex_lock(lock);
    for (i = 0; i < WH_MOD_TYPES_MAX && view->types[i] != NULL; i++) {
        if (view->types[i]->conf == r->per_dir_config) {
            types = view->types[i]; /* another thread was faster */
            break;
        }
    }
    if (types == NULL && i < WH_MOD_TYPES_MAX) {
        types = apr_pcalloc(view->pool, sizeof(*types) + sizeof(char *) * (apr_size_t)m->n);
        types->conf = r->per_dir_config;
        fill(r, view->pool, m, types);
        __atomic_store_n(&view->types[i], types, __ATOMIC_RELEASE);
    }
    apr_thread_mutex_unlock(lock);
    return types;
}

const char *wh_mod_type_of(request_rec *r, wh_mod_release_t *view,
                           const wh_manifest_entry_t *entry)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *type;
    wh_mod_types_t *types = NULL;
    int i;

    if (core->mime_type != NULL && strcmp(core->mime_type, "none") != 0) {
        return core->mime_type; /* ForceType */
    }
    if (mime_type_checker == NULL) {
        return entry->type;
    }
    for (i = 0; i < WH_MOD_TYPES_MAX && (types = types_at(view, i)) != NULL; i++) {
        if (types->conf == r->per_dir_config) {
            break;
        }
    }
    /* Sections make a configuration for each request: that one is not worth keeping. */
    if (types == NULL && lock != NULL && r->per_dir_config == r->server->lookup_defaults) {
        types = types_for(r, view);
    }
    if (types != NULL && types->conf == r->per_dir_config) {
        type = types->of[entry - view->site->manifest->entries];
    } else {
        type = choose(r->pool, entry, ask(r, r->pool, r->per_dir_config, name_of(entry->path)));
    }
    return type != NULL ? type : entry->type;
}
