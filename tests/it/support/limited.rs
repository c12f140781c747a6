//! nginx in front of a registry that counts as Docker Hub does: `GET` of manifests, with its headers, and 429 behind the
//! last one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::registry::write;

/// Where Debian puts the modules.
const MODULES: &str = "/usr/lib/nginx/modules";

/// One nginx; ends when dropped.
pub(crate) struct Limited {
    child: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Limited {
    /// Takes `limit` counted requests; `None` where it is to be skipped (see [`super::need`]).
    pub(crate) fn start(upstream: &str, limit: u64) -> Option<Self> {
        super::need("nginx").or_else(|| {
            let debians = std::path::PathBuf::from("/usr/sbin/nginx");
            debians.is_file().then_some(debians)
        })?;
        (0..5).find_map(|_| Self::try_start(upstream, limit)).or_else(|| panic!("nginx"))
    }

    fn try_start(upstream: &str, limit: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = dir.path().join("nginx.conf");
        write(&config, &configuration(&dir.path().display().to_string(), address, upstream, limit));
        let child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-e", "stderr", "-g", "daemon off;", "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut nginx = Self { child, dir, address };
        for _ in 0..800 {
            if nginx.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).is_ok() {
                return Some(nginx);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nginx does not answer on {address}")
    }

    /// As an image reference begins.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Every request so far: `METHOD PATH STATUS`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("access")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Requests that it counted.
    pub(crate) fn counted(&self) -> usize {
        let is_counted = |line: &&String| line.starts_with("GET ") && line.contains("/manifests/");
        self.requests().iter().filter(is_counted).count()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configuration(dir: &str, address: SocketAddr, upstream: &str, limit: u64) -> String {
    // One process, so that nothing outlives it; the last words of a request are what was answered.
    format!(
        r#"load_module {MODULES}/ndk_http_module.so;
load_module {MODULES}/ngx_http_lua_module.so;
pid {dir}/pid;
master_process off;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  log_format line '$request_method $uri $status';
  access_log {dir}/access line;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  lua_shared_dict counted 64k;
  server {{
    listen {address};
    location / {{
      access_by_lua_block {{
        local counted = ngx.shared.counted
        local left = {limit} - (counted:get("n") or 0)
        if ngx.var.request_method == "GET" and ngx.var.uri:find("/manifests/") then
          if left <= 0 then
            ngx.header["Retry-After"] = "21600"
            ngx.status = 429
            ngx.header["Content-Type"] = "application/json"
            ngx.say('{{"errors":[{{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}}]}}')
            return ngx.exit(429)
          end
          counted:incr("n", 1, 0)
          left = left - 1
        end
        ngx.ctx.left = left
      }}
      header_filter_by_lua_block {{
        if ngx.var.uri:find("/manifests/") then
          ngx.header["ratelimit-limit"] = "{limit};w=21600"
          ngx.header["ratelimit-remaining"] = (ngx.ctx.left or 0) .. ";w=21600"
          ngx.header["docker-ratelimit-source"] = "127.0.0.1"
        end
      }}
      proxy_pass http://{upstream};
      proxy_set_header Host $http_host;
    }}
  }}
}}
"#
    )
}
