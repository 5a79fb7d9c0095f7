# ntfy, a server for push notifications, from nixpkgs: a layer for each package, nothing else inside.
{ pkgs ? import <nixpkgs> { } }:

let
  # What the tag says. The assertion stops the build when nixpkgs has moved on.
  version = "2.14.0";
  app = pkgs.ntfy-sh;
in

assert app.version == version;

pkgs.dockerTools.buildLayeredImage {
  name = "blumeops/ntfy";

  contents = [
    app
    pkgs.cacert
    pkgs.tzdata
  ];

  config = {
    Entrypoint = [ "${app}/bin/ntfy" ];
    Cmd = [ "serve" ];
    Env = [
      "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"
      "TZDIR=${pkgs.tzdata}/share/zoneinfo"
    ];
    ExposedPorts."80/tcp" = { };
    Labels."org.opencontainers.image.version" = version;
    User = "65534";
  };
}
