package runpod

import "time"

// Pod is a pod as it stands in replies. The fields are those of the document's Pod.
type Pod struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Image            string            `json:"image"`
	Args             string            `json:"args"`
	Disk             int               `json:"disk"` // GB
	Env              map[string]string `json:"env"`
	Ports            []string          `json:"ports"`
	Registry         *string           `json:"registry"`
	Status           string            `json:"status"`
	Actions          []string          `json:"actions"`
	Mounts           Mounts            `json:"mounts"`
	GPU              *GPU              `json:"gpu,omitempty"`
	CPU              *CPU              `json:"cpu,omitempty"`
	Cloud            string            `json:"cloud"`
	DataCenterID     *string           `json:"dataCenterId"`
	CudaVersion      *string           `json:"cudaVersion"`
	SSH              SSH               `json:"ssh"`
	Template         *string           `json:"template"`
	Cost             float64           `json:"cost"` // USD an hour, now
	Locked           bool              `json:"locked"`
	Cluster          *Cluster          `json:"cluster,omitempty"`
	GlobalNetworking struct {
		Enabled bool `json:"enabled"`
	} `json:"globalNetworking"`
	Runtime   *Runtime   `json:"runtime"`
	CreatedAt time.Time  `json:"createdAt"`
	StartedAt *time.Time `json:"startedAt"`
}

// Mounts is a pod's storage.
type Mounts struct {
	Persistent *Persistent `json:"persistent,omitempty"`
	Network    []Network   `json:"network,omitempty"`
}

// Persistent is storage on the pod's host.
type Persistent struct {
	Size int    `json:"size"`
	Path string `json:"path"`
}

// Network is a network volume in a pod.
type Network struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
}

// GPU is what a pod has, or asks for.
type GPU struct {
	ID                  string   `json:"id"`
	Count               *int     `json:"count,omitempty"`
	AllowedCudaVersions []string `json:"allowedCudaVersions,omitempty"`
	MinCudaVersion      string   `json:"minCudaVersion,omitempty"`
}

// CPU is what a pod without GPU has, or asks for.
type CPU struct {
	ID        string `json:"id"`
	VCPUCount int    `json:"vcpuCount"`
	Memory    int    `json:"memory,omitempty"` // GB; in replies
}

// Cluster marks a member of a cluster.
type Cluster struct {
	ID   string `json:"id"`
	Rank *int   `json:"rank"`
}

// SSH is how a pod is reached.
type SSH struct {
	Proxy  *Endpoint `json:"proxy"`
	Direct *Endpoint `json:"direct"`
}

// Endpoint is one way to a pod.
type Endpoint struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Command  string `json:"command"`
}

// Runtime is what a running pod tells of itself.
type Runtime struct {
	Uptime int           `json:"uptime"` // seconds since the container started
	Ports  []RuntimePort `json:"ports,omitempty"`
}

// RuntimePort is a port of a running pod.
type RuntimePort struct {
	Private int    `json:"private"`
	Public  *int   `json:"public"`
	Type    string `json:"type"`
	IP      string `json:"ip"`
}

// create is the body of POST /v2/pods.
type create struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	Args          string            `json:"args"`
	Disk          int               `json:"disk"`
	Env           map[string]string `json:"env"`
	Ports         []string          `json:"ports"`
	Registry      *string           `json:"registry"`
	GPU           *GPU              `json:"gpu"`
	CPU           *CPU              `json:"cpu"`
	Cloud         *string           `json:"cloud"`
	DataCenterIDs []string          `json:"dataCenterIds"`
	Mounts        Mounts            `json:"mounts"`
	TemplateID    *string           `json:"templateId"`
	StartSSH      bool              `json:"startSsh"`
}

// GPUType is a row of the catalog.
type GPUType struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Pool         *string      `json:"pool"`
	Manufacturer string       `json:"manufacturer"`
	Memory       int          `json:"memory"` // GB
	Secure       bool         `json:"secure"`
	Community    bool         `json:"community"`
	Price        Prices       `json:"price"`
	MaxCount     Counts       `json:"maxCount"`
	Availability string       `json:"availability,omitempty"`
	DataCenters  []Stock      `json:"dataCenters,omitempty"`
	CudaVersions []CudaStatus `json:"cudaVersions,omitempty"`
}

// Prices are USD an hour for one GPU; 0 where the cloud has none of the type.
type Prices struct {
	Secure    float64 `json:"secure"`
	Community float64 `json:"community"`
}

// Counts are how many GPUs the largest machine has.
type Counts struct {
	Secure    int `json:"secure"`
	Community int `json:"community"`
}

// Stock is how likely something is to be had somewhere.
type Stock struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Availability string `json:"availability"`
}

// CudaStatus is one CUDA version of a GPU type's hosts.
type CudaStatus struct {
	Version   string `json:"version"`
	Available bool   `json:"available"`
}

// CPUType is a row of the catalog of CPUs.
type CPUType struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Group string `json:"group"`
	VCPU  struct {
		Min int `json:"min"`
		Max int `json:"max"`
	} `json:"vcpu"`
	RAMPerVCPU float64 `json:"ramGbPerVcpu"`
	Price      struct {
		Secure     float64 `json:"securePerVcpu"`
		Serverless float64 `json:"serverlessPerVcpu"`
	} `json:"price"`
	Availability string  `json:"availability,omitempty"`
	DataCenters  []Stock `json:"dataCenters,omitempty"`
}

// DataCenter is a row of the catalog of places.
type DataCenter struct {
	ID                 string   `json:"id"`
	Name               string   `json:"name"`
	Region             string   `json:"region"`
	GlobalNetwork      bool     `json:"globalNetwork"`
	NetworkVolumeTypes []string `json:"networkVolumeTypes"`
	Compliance         []string `json:"compliance"`
	GPUAvailability    []Stock  `json:"gpuAvailability,omitempty"`
	CPUAvailability    []Stock  `json:"cpuAvailability,omitempty"`
}

// Volume is a network volume.
type Volume struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Size       int    `json:"size"` // GB
	DataCenter string `json:"dataCenter"`
	Type       string `json:"type"`
}
